// (y + y_second) silu(gate), or with a gate of its own for each, y silu(gate) + y_second silu(second).

#include "_rows.cuh"

extern "C" __global__ void __launch_bounds__(256) bidirectional_gate(
    const Y_TYPE* y, const Y_TYPE* y_second, const Z_TYPE* gate, const Z_TYPE* gate_second,
    Y_TYPE* out, int64 rows, int64 width, int64 stride, int64 stride_second
) {
    const int64 across = width / VECTOR, place = int64(blockIdx.x) * 256 + threadIdx.x;
    if (place >= rows * across) return;
    const int64 row = place / across, column = place % across * VECTOR;
    const Column<Y_TYPE> from(y, row, width, column), from_second(y_second, row, width, column);
    const Column<Z_TYPE> open(gate, row, stride, column);
    const Column<Z_TYPE> open_second(gate_second, row, stride_second, column);
    const auto first = from.read<VECTOR>(0, true), second = from_second.read<VECTOR>(0, true);
    const auto z = open.read<VECTOR>(0, gate);
    const auto z_second = open_second.read<VECTOR>(0, gate_second);
    Outgoing<Y_TYPE, VECTOR> sum;
#pragma unroll
    for (int m = 0; m < VECTOR; ++m) {
        float v = element(z, m), v_second = element(z_second, m);
        float weight = gate ? v * sigmoid(v) : 1.f;
        float weight_second = gate_second ? v_second * sigmoid(v_second) : weight;
        store(sum.v, m, element(first, m) * weight + element(second, m) * weight_second);
    }
    Column<Y_TYPE>(out, row, width, column).write(0, sum);
}
