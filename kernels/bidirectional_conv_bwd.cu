// Gradients of the paired convolution. The sums before SiLU are formed again.
//
// A branch that looks back gives x_t a gradient from the sums at t to t + HALO, one that looks ahead
// from those at t - HALO to t. The sums of the HALO steps outside a thread's own are formed twice, and
// counted for taps and bias by the thread that owns them.

#include "_conv.cuh"

typedef float Sums[RUN][VECTOR];

// One branch: adds to the gradient of the thread's rows, and leaves those of taps and bias.
template <bool reverse>
__device__ __forceinline__ void differentiate(
    Sums& dx, float (&dtaps)[TAPS + 1][VECTOR], const Words (&rows)[RUN + 2 * HALO],
    const Words (&du)[RUN + HALO], const Taps& taps
) {
#pragma unroll
    for (int i = 0; i < RUN + HALO; ++i) {
        const int step = reverse ? i - HALO : i;  // from the thread's first
        const Words* here = rows + step + HALO;
        const bool counted = step >= 0 && step < RUN;  // there is no gradient behind the end
#pragma unroll
        for (int m = 0; m < VECTOR; ++m) {
            float sum = taps.template sum<reverse>(here, m), open = sigmoid(sum);
            float dsum = element(du[i], m) * open * (1.f + sum * (1.f - open));
#pragma unroll
            for (int w = 0; w < TAPS; ++w) {
                int away = reverse ? HALO - w : w - HALO;
                if (step + away >= 0 && step + away < RUN)
                    dx[step + away][m] += taps.weight[w][m] * dsum;
                if (counted) dtaps[w][m] += dsum * element(here[away], m);
            }
            if (counted) dtaps[TAPS][m] += dsum;
        }
    }
}

// Add the block's runs in order, and write one partial: taps (width, TAPS), then bias.
__device__ __forceinline__ void put(
    float* out, const float (&dtaps)[TAPS + 1][VECTOR], const Walk& walk, int64 width
) {
    __shared__ float shared[RUNS][PACKS * VECTOR];
    out += walk.slot * (TAPS + 1) * width;
    for (int w = 0; w <= TAPS; ++w) {
        __syncthreads();
        for (int m = 0; m < VECTOR; ++m) shared[walk.run][walk.pack * VECTOR + m] = dtaps[w][m];
        __syncthreads();
        const int64 column = walk.column - walk.pack * VECTOR + threadIdx.x;
        if (threadIdx.x >= PACKS * VECTOR || column >= width) continue;
        float sum = 0.f;
        for (int run = 0; run < RUNS; ++run) sum += shared[run][threadIdx.x];
        out[w < TAPS ? column * TAPS + w : TAPS * width + column] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(PACKS* RUNS, 2) bidirectional_conv_bwd(
    const X_TYPE* x, const float* weight, const float* bias, const X_TYPE* du,
    const float* weight_second, const float* bias_second, const X_TYPE* du_second,
    X_TYPE* dx, float* partial, float* partial_second, const int64* perm, const int64* offsets,
    int64 sequences, int64 width, int64 stride, int64 stride_du, int64 stride_du_second
) {
    const Walk walk(offsets, sequences, width);
    const int own = walk.length - walk.begin;
    Words rows[RUN + 2 * HALO], grads[RUN + HALO];
    walk.read(rows, x, stride, walk.begin - HALO, perm);
    walk.read(grads, du, stride_du, walk.begin - (REVERSE ? HALO : 0), perm);
#if BRANCHES == 2
    Words grads_second[RUN + HALO];
    const int from = walk.begin - (REVERSE_SECOND ? HALO : 0);
    walk.read(grads_second, du_second, stride_du_second, from, perm);
#endif
    Sums sums = {};
    float dtaps[TAPS + 1][VECTOR] = {};
    const Taps first(weight, bias, walk.column, width);
    differentiate<REVERSE>(sums, dtaps, rows, grads, first);
    put(partial, dtaps, walk, width);
#if BRANCHES == 2
    float dtaps_second[TAPS + 1][VECTOR] = {};
    const Taps second(weight_second, bias_second, walk.column, width);
    differentiate<REVERSE_SECOND>(sums, dtaps_second, rows, grads_second, second);
    put(partial_second, dtaps_second, walk, width);
#endif
    const Column<X_TYPE> target(dx, walk.start, width, walk.column);
#pragma unroll
    for (int i = 0; i < RUN; ++i) {
        if (i >= own || !walk.inside) break;
        Outgoing<X_TYPE, VECTOR> out;
        for (int m = 0; m < VECTOR; ++m) store(out.v, m, sums[i][m]);
        target.write(walk.row(walk.begin + i, perm), out);
    }
}
