// Gradients of the paired convolution. The sum before SiLU is formed again.
//
// At iteration t a thread holds x from t to t + TAPS - 1. A branch that looks back has there all it
// needs at step t + TAPS - 1, one that looks ahead at step t; either way the gradient of x_t is
// complete with the TAPS newest gradients of sums.

#include "_conv.cuh"

// One branch's latest gradients of sums, the newest last, and sums for its taps and bias.
struct Side {
    float newest[TAPS][VECTOR], dweight[TAPS + 1][VECTOR];

    __device__ __forceinline__ Side() {
        for (int m = 0; m < VECTOR; ++m) {
            for (int w = 0; w < TAPS; ++w) newest[w][m] = 0.f;
            for (int w = 0; w <= TAPS; ++w) dweight[w][m] = 0.f;
        }
    }

    template <bool reverse>
    __device__ __forceinline__ void step(
        float (&dx)[VECTOR], const float (&x)[TAPS][VECTOR], const float (&du)[VECTOR],
        const Taps& taps, bool own
    ) {
        for (int m = 0; m < VECTOR; ++m) {
            float sum = taps.bias[m];
            for (int w = 0; w < TAPS; ++w) {
                sum += taps.weight[w][m] * x[reverse ? TAPS - 1 - w : w][m];
                if (w) newest[w - 1][m] = newest[w][m];
            }
            float open = sigmoid(sum), dsum = du[m] * open * (1.f + sum * (1.f - open));
            newest[TAPS - 1][m] = dsum;
            float counted = own ? dsum : 0.f;
            for (int w = 0; w < TAPS; ++w) {
                dx[m] += taps.weight[w][m] * newest[reverse ? w : TAPS - 1 - w][m];
                dweight[w][m] += counted * x[reverse ? TAPS - 1 - w : w][m];
            }
            dweight[TAPS][m] += counted;
        }
    }

    // Add the block's runs in order, and write one partial: taps, then bias.
    __device__ __forceinline__ void put(
        float* out, float (&shared)[RUNS][PACKS * VECTOR], const Walk& walk, int64 width
    ) {
        for (int w = 0; w <= TAPS; ++w) {
            __syncthreads();
            for (int m = 0; m < VECTOR; ++m)
                shared[walk.run][walk.pack * VECTOR + m] = dweight[w][m];
            __syncthreads();
            const int64 column = walk.column - walk.pack * VECTOR + threadIdx.x;
            if (threadIdx.x >= PACKS * VECTOR || column >= width) continue;
            float sum = 0.f;
            for (int run = 0; run < RUNS; ++run) sum += shared[run][threadIdx.x];
            out[walk.slot * (TAPS + 1) * width + (w < TAPS ? column * TAPS + w : TAPS * width + column)] =
                sum;
        }
    }
};

extern "C" __global__ void __launch_bounds__(PACKS* RUNS) bidirectional_conv_bwd(
    const X_TYPE* x, const float* weight, const float* bias, const X_TYPE* du,
    const float* weight_second, const float* bias_second, const X_TYPE* du_second,
    X_TYPE* dx, float* partial, float* partial_second,
    const int64* perm, const int64* offsets,
    int64 sequences, int64 width, int64 stride, int64 stride_du, int64 stride_du_second
) {
    __shared__ float shared[RUNS][PACKS * VECTOR];
    const Walk walk(offsets, sequences, width);
    const Taps first(weight, bias, walk.column, width);
    Side side;
#if BRANCHES == 2
    const Taps second(weight_second, bias_second, walk.column, width);
    Side side_second;
#endif
    const int end = walk.begin + RUN < walk.length ? walk.begin + RUN : walk.length;
    float window[TAPS][VECTOR];
    if (walk.begin < end)
        for (int i = 0; i < TAPS - 1; ++i)
            walk.read(window[i + 1], x, walk.begin - (TAPS - 1) + i, stride, width, perm);
    if (walk.begin < end) {
#pragma unroll
        for (int i = 1 - TAPS; i < RUN; ++i) {
            const int t = walk.begin + i, ahead = t + TAPS - 1;
            if (t >= end) break;
            for (int j = 0; j < TAPS - 1; ++j)
                for (int m = 0; m < VECTOR; ++m) window[j][m] = window[j + 1][m];
            walk.read(window[TAPS - 1], x, ahead, stride, width, perm);
            float sum[VECTOR] = {}, grad[VECTOR];
            int at = REVERSE ? t : ahead;
            walk.read(grad, du, at, stride_du, width, perm);
            side.template step<REVERSE>(sum, window, grad, first, at >= walk.begin && at < end);
#if BRANCHES == 2
            at = REVERSE_SECOND ? t : ahead;
            walk.read(grad, du_second, at, stride_du_second, width, perm);
            side_second.template step<REVERSE_SECOND>(
                sum, window, grad, second, at >= walk.begin && at < end
            );
#endif
            if (i < 0 || walk.column >= width) continue;
            const int64 out = walk.row(t, perm) * width + walk.column;
            Pack<X_TYPE> pack;
            for (int m = 0; m < VECTOR; ++m) store(pack.v, m, sum[m]);
            *(Pack<X_TYPE>*)(dx + out) = pack;
        }
    }
    side.put(partial, shared, walk, width);
#if BRANCHES == 2
    side_second.put(partial_second, shared, walk, width);
#endif
}
