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
