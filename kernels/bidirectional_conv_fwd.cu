// Causal convolution with SiLU of one input by up to two branches that may look either way.

#include "_conv.cuh"

template <bool reverse>
__device__ __forceinline__ void convolve(
    X_TYPE* u, const Words (&rows)[RUN + 2 * HALO], const Taps& taps, const Walk& walk,
    int64 width, const int64* perm
) {
    const Column<X_TYPE> target(u, walk.start, width, walk.column);
#pragma unroll
    for (int i = 0; i < RUN; ++i) {
        if (walk.begin + i >= walk.length) break;
        Outgoing<X_TYPE, VECTOR> y;
#pragma unroll
        for (int m = 0; m < VECTOR; ++m) {
            float sum = taps.template sum<reverse>(rows + i + HALO, m);
            store(y.v, m, sum * sigmoid(sum));
        }
        target.write(walk.row(walk.begin + i, perm), y);
    }
}

extern "C" __global__ void __launch_bounds__(PACKS* RUNS) bidirectional_conv_fwd(
    const X_TYPE* x, const float* weight, const float* bias, X_TYPE* u,
    const float* weight_second, const float* bias_second, X_TYPE* u_second,
    const int64* perm, const int64* offsets, int64 sequences, int64 width, int64 stride
) {
    const Walk walk(offsets, sequences, width);
    if (walk.begin >= walk.length || !walk.inside) return;
    Words rows[RUN + 2 * HALO];
    walk.read(rows, x, stride, walk.begin - HALO, perm);
    convolve<REVERSE>(u, rows, Taps(weight, bias, walk.column, width), walk, width, perm);
#if BRANCHES == 2
    const Taps second(weight_second, bias_second, walk.column, width);
    convolve<REVERSE_SECOND>(u_second, rows, second, walk, width, perm);
#endif
}
