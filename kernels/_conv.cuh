// What both passes of the paired convolution share.
//
// A block owns PACKS x VECTOR channels of RUNS x RUN steps of a sequence; a thread walks RUN steps of
// VECTOR channels with the rows it needs in registers.

constexpr int PACKS = 32, RUNS = 8, RUN = 16;
constexpr int PART = RUNS * RUN;

template <class T>
struct __align__(sizeof(T) * VECTOR) Pack {
    T v[VECTOR];
};

__device__ __forceinline__ float sigmoid(float v) {
    return reciprocal(1.f + exp2_fast(-1.4426950408889634f * v));
}

// The steps of a block and of a thread. Sequence i owns the slots from start_i / PART + i on.
struct Walk {
    int64 slot, sequence, start, column;
    int length, begin, pack, run;

    __device__ Walk(const int64* offsets, int64 sequences, int64 width) {
        const int64 blocks = (width + PACKS * VECTOR - 1) / (PACKS * VECTOR);
        slot = blockIdx.x / blocks;
        pack = threadIdx.x % PACKS;
        run = threadIdx.x / PACKS;
        column = (blockIdx.x % blocks * PACKS + pack) * VECTOR;
        sequence = 0;
        for (int64 above = sequences; above - sequence > 1;) {
            int64 middle = (above + sequence) / 2;
            (offsets[middle] / PART + middle <= slot ? sequence : above) = middle;
        }
        start = offsets[sequence];
        length = int(offsets[sequence + 1] - start);
        int64 first = (slot - start / PART - sequence) * PART + run * RUN;
        begin = first < length ? int(first) : length;
    }

    __device__ __forceinline__ int64 row(int step, const int64* perm) const {
        return start + (perm ? perm[start + step] : step);
    }

    // Values of the thread's channels at a step, 0 outside the sequence.
    template <class T>
    __device__ __forceinline__ void read(
        float (&out)[VECTOR], const T* p, int step, int64 stride, int64 width, const int64* perm
    ) const {
        Pack<T> pack{};
        if (step >= 0 && step < length && column < width)
            pack = *(const Pack<T>*)(p + row(step, perm) * stride + column);
        for (int m = 0; m < VECTOR; ++m) out[m] = widen(pack.v[m]);
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
};
