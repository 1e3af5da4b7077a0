"""The emulation of CUDA kernels: barriers, warp operations, types, and the errors it must see."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcmamba.kernels import _nvrtc
from tests.kernels.cuda_emulation import EmulatedKernel, has_compiler

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs g++")

SOURCE = """
extern "C" __global__ void sums(const float* x, float* out, int n) {
    extern __shared__ float part[];
    __shared__ float first;
    const int t = threadIdx.x, lane = t % 32;
    float v = t < n ? x[blockIdx.x * n + t] : 0.f;
    for (int d = 16; d; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    if (lane == 0) part[t / 32] = v;
    if (t == 0) first = x[blockIdx.x * n];
    __syncthreads();
    float total = 0.f;
    for (int w = 0; w < int(blockDim.x) / 32; ++w) total += part[w];
    if (t < n) out[blockIdx.x * n + t] = total + first;
}
extern "C" __global__ void lanes(int* out) {
    const int lane = threadIdx.x;
    out[lane] = __ballot_sync(0xffffffffu, lane % 3 == 0);
    out[32 + lane] = __shfl_up_sync(0xffffffffu, lane, 1);
    out[64 + lane] = __shfl_down_sync(0xffffffffu, lane, 2, 8);
    out[96 + lane] = __reduce_max_sync(0xffffffffu, 7 * lane % 32);
    if (lane < 8) out[128 + lane] = __reduce_add_sync(0xffu, lane);
    else out[128 + lane] = __reduce_min_sync(0xffffff00u, lane);
    out[160 + lane] = __any_sync(0xffffffffu, lane == 31) + 2 * __all_sync(0xffffffffu, lane < 31);
}
extern "C" __global__ void copy(const ELEMENT* x, ELEMENT* out, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) store(out, i, exp2_fast(load(x, i)));
}
extern "C" __global__ void stuck(int* out) {
    if (threadIdx.x < 31) __syncwarp();
    out[threadIdx.x] = 1;
}
extern "C" __global__ void mixed(int* out) {
    out[threadIdx.x] = threadIdx.x ? __any_sync(3u, 1) : __shfl_sync(3u, 1, 0);
}
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a kernel of the source above; other sources of the folder stay out."""
    (tmp_path / "_device.cuh").write_text((_nvrtc.FOLDER / "_device.cuh").read_text())
    (tmp_path / "case.cu").write_text(SOURCE)
    monkeypatch.setattr(_nvrtc, "FOLDER", tmp_path)

    def make(entry: str, signature: str, element: str = "float", backwards: bool = False):
        return EmulatedKernel("case", entry, signature, (("ELEMENT", element),), backwards)

    return make


@pytest.mark.parametrize("backwards", [False, True])
def test_blocks_sum_through_warps_and_shared_memory(kernel, backwards: bool) -> None:
    x = torch.randn(3, 90)
    out = torch.zeros(3, 90)
    kernel("sums", "PPi", backwards=backwards)((3, 1, 1), 96, x, out, 90, shared=12)
    torch.testing.assert_close(out, (x.sum(1) + x[:, 0])[:, None].expand(3, 90))


def test_warp_operations_follow_cuda(kernel) -> None:
    out = torch.full((6, 32), -1, dtype=torch.int32)
    kernel("lanes", "P")((1, 1, 1), 32, out)
    lanes = list(range(32))
    assert out[0].tolist() == [sum(1 << i for i in range(0, 31, 3))] * 32
    assert out[1].tolist() == [0, *lanes[:-1]]
    assert out[2].tolist() == [i + 2 if i % 8 < 6 else i for i in lanes]
    assert out[3].tolist() == [31] * 32
    assert out[4].tolist() == [28] * 8 + [8] * 24
    assert out[5].tolist() == [1] * 32


@pytest.mark.parametrize(
    ("element", "dtype"),
    [("float", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)],
)
def test_types_round_as_torch_does(kernel, element: str, dtype: torch.dtype) -> None:
    x = torch.randn(200).mul(4).to(dtype)
    out = torch.zeros(200, dtype=dtype)
    kernel("copy", "PPi", element)((1, 1, 1), 32, x, out, 200)
    torch.testing.assert_close(out, x.float().exp2().to(dtype))


@pytest.mark.parametrize(("entry", "why"), [("stuck", "for ever"), ("mixed", "different")])
def test_a_warp_that_cannot_go_on_is_an_error(kernel, entry: str, why: str) -> None:
    out = torch.zeros(32, dtype=torch.int32)
    with pytest.raises(RuntimeError, match=why):
        kernel(entry, "P")((1, 1, 1), 32 if entry == "stuck" else 2, out)
