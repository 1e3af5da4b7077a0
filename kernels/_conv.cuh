// What both passes of the paired convolution share.
//
// A block owns PACKS x VECTOR channels of RUNS x RUN steps of a sequence. A thread takes RUN steps of
// VECTOR channels and asks for all rows that they need before it uses the first.

#include "_rows.cuh"

constexpr int PACKS = 16, RUNS = 16, RUN = 8;
constexpr int PART = RUNS * RUN;
constexpr int HALO = TAPS - 1;

typedef Pack<X_TYPE, VECTOR> Words;

// The steps of a block and of a thread. Sequence i owns the slots from start_i / PART + i on.
struct Walk {
    int64 slot, start, column;
    int length, begin, pack, run;
    bool inside;

    __device__ Walk(const int64* offsets, int64 sequences, int64 width) {
        const int64 blocks = (width + PACKS * VECTOR - 1) / (PACKS * VECTOR);
        slot = blockIdx.x / blocks;
        pack = threadIdx.x % PACKS;
        run = threadIdx.x / PACKS;
        column = (blockIdx.x % blocks * PACKS + pack) * VECTOR;
        inside = column < width;
        int64 sequence = 0;
        for (int64 above = sequences; above - sequence > 1;) {
            int64 middle = (above + sequence) / 2;
            (offsets[middle] / PART + middle <= slot ? sequence : above) = middle;
        }
        start = offsets[sequence];
        length = int(offsets[sequence + 1] - start);
        int64 first = (slot - start / PART - sequence) * PART + run * RUN;
        begin = first < length ? int(first) : length;
    }

    __device__ __forceinline__ int row(int step, const int64* perm) const {
#if PERM
        return step >= 0 && step < length ? int(perm[start + step]) : 0;
#else
        return step;
#endif
    }

    // `COUNT` rows from a step on, 0 outside the sequence.
    template <int COUNT>
    __device__ __forceinline__ void read(
        Words (&words)[COUNT], const X_TYPE* p, int64 stride, int step, const int64* perm
    ) const {
        const Column<X_TYPE> from(p, start, stride, column);
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            bool there = inside && step + i >= 0 && step + i < length;
            words[i] = from.template read<VECTOR>(row(step + i, perm), there);
        }
    }
};

// Taps of the thread's channels, the last for the step itself, and the bias.
struct Taps {
    float weight[TAPS][VECTOR], bias[VECTOR];

    __device__ __forceinline__ Taps(
        const float* weights, const float* biases, int64 column, int64 width
    ) {
        for (int m = 0; m < VECTOR; ++m) {
            bool inside = column + m < width;
            bias[m] = inside && biases ? biases[column + m] : 0.f;
            for (int w = 0; w < TAPS; ++w)
                weight[w][m] = inside ? weights[(column + m) * TAPS + w] : 0.f;
        }
    }

    // The sum before SiLU at rows[HALO], which looks back, or ahead if `reverse`.
    template <bool reverse>
    __device__ __forceinline__ float sum(const Words* rows, int m) const {
        float sum = bias[m];
#pragma unroll
        for (int w = 0; w < TAPS; ++w)
            sum += weight[w][m] * element(rows[reverse ? HALO - w : w - HALO], m);
        return sum;
    }
};
