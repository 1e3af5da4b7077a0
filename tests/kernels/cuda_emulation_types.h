// The part of kernels/_device.cuh that it leaves to the emulation; put behind it.

inline void store(bfloat16* p, int64 i, float v) {
    const uint32 bits = __float_as_uint(v);
    p[i].bits = v != v ? 0x7fff : uint16((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

inline float load(const float16* p, int64 i) {
    _Float16 v;
    memcpy(&v, &p[i].bits, 2);
    return float(v);
}

inline void store(float16* p, int64 i, float v) {
    const _Float16 narrow = _Float16(v);
    memcpy(&p[i].bits, &narrow, 2);
}

inline float exp2_fast(float v) { return v < -126.f ? 0.f : exp2f(v); }
inline float reciprocal(float v) { return 1.f / v; }

inline void store_four(float* p, float x, float y, float z, float w) {
    p[0] = x, p[1] = y, p[2] = z, p[3] = w;
}

inline float cut_fraction(float v) { return __uint_as_float(__float_as_uint(v) & 0xffffe000u); }

inline void matrix_product(float (&sum)[4], const float* v, float upper, float lower) {
    const int lane = threadIdx.x & 31, group = lane / 4, quad = lane % 4;
    for (int k = 0; k < 4; ++k) {
        float row[4];
        for (int i = 0; i < 4; ++i)
            row[i] = __shfl_sync(~0u, cut_fraction(v[i]), group * 4 + k);
        for (int n = 0; n < 2; ++n) {
            const int source = (2 * quad + n) * 4 + k;
            const float above = __shfl_sync(~0u, cut_fraction(upper), source);
            const float below = __shfl_sync(~0u, cut_fraction(lower), source);
            sum[n] += row[0] * above + row[1] * below;
            sum[2 + n] += row[2] * above + row[3] * below;
        }
    }
}
