// Causal convolution with SiLU of one input by up to two branches that may look either way.

#include "_conv.cuh"

extern "C" __global__ void __launch_bounds__(PACKS* RUNS) bidirectional_conv_fwd(
    const X_TYPE* x, const float* weight, const float* bias, X_TYPE* u,
    const float* weight_second, const float* bias_second, X_TYPE* u_second,
    const int64* perm, const int64* offsets, int64 sequences, int64 width, int64 stride
) {
    const Walk walk(offsets, sequences, width);
    if (walk.begin >= walk.length || walk.column >= width) return;
    const Taps first(weight, bias, walk.column, width);
#if BRANCHES == 2
    const Taps second(weight_second, bias_second, walk.column, width);
#endif
    // Before a step the window holds the rows from TAPS - 1 before it to TAPS - 2 after it.
    float window[2 * TAPS - 1][VECTOR];
    for (int i = 0; i < 2 * TAPS - 2; ++i)
        walk.read(window[i + 1], x, walk.begin + i - (TAPS - 1), stride, width, perm);
#pragma unroll
    for (int i = 0; i < RUN; ++i) {
        int step = walk.begin + i;
        if (step >= walk.length) break;
        for (int j = 0; j < 2 * TAPS - 2; ++j)
            for (int m = 0; m < VECTOR; ++m) window[j][m] = window[j + 1][m];
        walk.read(window[2 * TAPS - 2], x, step + TAPS - 1, stride, width, perm);
        const int64 out = walk.row(step, perm) * width + walk.column;
#define CONVOLVE(taps, reverse, target)                                              \
    {                                                                                \
        Pack<X_TYPE> y;                                                              \
        for (int m = 0; m < VECTOR; ++m) {                                           \
            float sum = taps.bias[m];                                                \
            for (int w = 0; w < TAPS; ++w)                                           \
                sum += taps.weight[w][m] * window[reverse ? 2 * TAPS - 2 - w : w][m];\
            store(y.v, m, sum * sigmoid(sum));                                       \
        }                                                                            \
        *(Pack<X_TYPE>*)(target + out) = y;                                          \
    }
        CONVOLVE(first, REVERSE, u)
#if BRANCHES == 2
        CONVOLVE(second, REVERSE_SECOND, u_second)
#endif
    }
}
