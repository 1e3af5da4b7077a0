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

// 1 / v by the special function unit, relative error about 2^-23.
__device__ __forceinline__ float reciprocal(float v) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
    return r;
}

// Write 16 bytes at once; p is a multiple of them.
__device__ __forceinline__ void store_four(float* p, float x, float y, float z, float w) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};"
                 :: "l"(p), "f"(x), "f"(y), "f"(z), "f"(w) : "memory");
}

// sum += v B of the tensor cores: v[0], v[1] are this lane's elements of rows lane / 4 of a 16 x 8
// matrix, columns lane % 4 and 4 + lane % 4; v[2], v[3] those of rows 8 + lane / 4. B (8 x 8) has
// `upper` and `lower` at rows lane % 4 and 4 + lane % 4, column lane / 4. sum[0], sum[1] are the
// elements of row lane / 4 and columns 2 (lane % 4) and one more; sum[2], sum[3] 8 rows below.
// v and B are cut to 10 bits of fraction.
__device__ __forceinline__ void matrix_product(
    float (&sum)[4], const float* v, float upper, float lower
) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(__float_as_uint(v[0])), "r"(__float_as_uint(v[2])), "r"(__float_as_uint(v[1])),
          "r"(__float_as_uint(v[3])), "r"(__float_as_uint(upper)), "r"(__float_as_uint(lower)));
}

#endif
