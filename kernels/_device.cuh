// What the CUDA kernels share: types in and out, and arithmetic that the compiler would not choose.
// No CUDA header is included, so NVRTC needs none installed.

typedef unsigned int uint32;
typedef unsigned short uint16;
typedef long long int64;

struct bfloat16 { uint16 bits; };
struct float16 { uint16 bits; };

__device__ __forceinline__ float load(const float* p, int64 i) { return p[i]; }
__device__ __forceinline__ void store(float* p, int64 i, float v) { p[i] = v; }

__device__ __forceinline__ float load(const bfloat16* p, int64 i) {
    return __uint_as_float(uint32(p[i].bits) << 16);
}

#ifndef PCMAMBA_EMULATED  // the tests' emulation on a CPU brings its own

__device__ __forceinline__ void store(bfloat16* p, int64 i, float v) {
    uint16 bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    p[i].bits = bits;
}

__device__ __forceinline__ float load(const float16* p, int64 i) {
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(p[i].bits));
    return v;
}

__device__ __forceinline__ void store(float16* p, int64 i, float v) {
    uint16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    p[i].bits = bits;
}

// 2^v by the special function unit, relative error about 2^-22; 0 below -126.
__device__ __forceinline__ float exp2_fast(float v) {
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
    return r;
}

#endif
