// (y + y_second) silu(gate), or with a gate of its own for each, y silu(gate) + y_second silu(second).

constexpr float LOG2E = 1.4426950408889634f;

struct __align__(sizeof(Y_TYPE) * VECTOR) Pack {
    Y_TYPE v[VECTOR];
};

struct __align__(sizeof(Z_TYPE) * VECTOR) GatePack {
    Z_TYPE v[VECTOR];
};

__device__ __forceinline__ float silu(float v) {
    return v * reciprocal(1.f + exp2_fast(-LOG2E * v));
}

extern "C" __global__ void __launch_bounds__(256) bidirectional_gate(
    const Y_TYPE* y, const Y_TYPE* y_second, const Z_TYPE* gate, const Z_TYPE* gate_second,
    Y_TYPE* out, int64 rows, int64 width, int64 stride, int64 stride_second
) {
    const int64 across = width / VECTOR, place = int64(blockIdx.x) * 256 + threadIdx.x;
    if (place >= rows * across) return;
    const int64 row = place / across, column = place % across * VECTOR;
    const Pack first = ((const Pack*)y)[place], second = ((const Pack*)y_second)[place];
    GatePack z{}, z_second{};
    if (gate) z = *(const GatePack*)(gate + row * stride + column);
    if (gate_second) z_second = *(const GatePack*)(gate_second + row * stride_second + column);
    Pack sum;
#pragma unroll
    for (int m = 0; m < VECTOR; ++m) {
        float open = gate ? silu(widen(z.v[m])) : 1.f;
        float open_second = gate_second ? silu(widen(z_second.v[m])) : open;
        store(sum.v, m, widen(first.v[m]) * open + widen(second.v[m]) * open_second);
    }
    ((Pack*)out)[place] = sum;
}
