"""Triton kernels, their launchers and the compiled CPU loops: pointers and sizes, no meaning."""
