// What the passes of the selective scan share.
//
// A block owns CHANNELS channels of a part of a sequence, LANES threads to a channel, OWN states of
// MANY channels to a thread, and walks it in tiles of STEPS steps. What a thread reads of B and C it
// uses for all its channels: shared memory is as scarce as arithmetic. The channels of a warp lie in
// its quads and halves: lane = 4 (half LANES + k) + quad, k the thread's place among those of its channel. Rows
// come in by thread (round, column), are turned into step sizes once, and reach the scan through
// shared memory. Every KEEP steps the state is kept for the backward pass.

#include "_rows.cuh"

constexpr int APART = THREADS / LANES;                 // between the channels of a thread
constexpr int CHANNELS = APART * MANY;
constexpr int WIDE = OWN * LANES;                      // states with padding
constexpr int PITCH = CHANNELS + 32 / LANES;           // of sums: four rows meet no bank twice
constexpr int ACROSS = CHANNELS / VECTOR;              // threads to a row that comes in
constexpr int DOWN = THREADS / ACROSS;                 // rows that come in at a time
constexpr int ROUNDS = STEPS / DOWN;
constexpr int WEIGHT_ACROSS = WIDE / WEIGHT_VECTOR;    // the same for B and C
constexpr int WEIGHT_ROUNDS = (STEPS * WEIGHT_ACROSS + THREADS - 1) / THREADS;
constexpr float LN2 = 0.6931471805599453f;

// Where the thread scans, and where it brings rows in.
struct Place {
    int quad, group, k, half, channel, column, round;

    __device__ __forceinline__ Place() {
        int lane = threadIdx.x & 31;
        quad = lane & 3;
        group = lane >> 2;
        k = group % LANES;
        half = group / LANES;
        channel = (threadIdx.x >> 5) * (32 / LANES) + 4 * half + quad;
        column = threadIdx.x % ACROSS * VECTOR;
        round = threadIdx.x / ACROSS;
    }
};

// Steps begin to begin + count of a sequence, in the order in which the state runs.
struct Part {
    int64 sequence, start;
    int length, begin, count;
    bool real;

    // Part `slot` of a ragged batch that is cut every `segment` steps; 0 cuts nothing. Sequence i
    // owns the slots from start_i / segment + i on, some of them empty.
    __device__ Part(const int64* offsets, int64 sequences, int64 segment, int64 slot) {
        sequence = slot;
        if (segment) {
            int64 above = sequences;
            sequence = 0;
            while (above - sequence > 1) {
                int64 middle = (above + sequence) / 2;
                bool right = offsets[middle] / segment + middle <= slot;
                (right ? sequence : above) = middle;
            }
        }
        start = offsets[sequence];
        length = int(offsets[sequence + 1] - start);
        int64 first = segment ? (slot - start / segment - sequence) * segment : 0;
        real = first == 0 || first < length;
        begin = real ? int(first) : length;
        count = segment && length - begin > segment ? int(segment) : length - begin;
    }

    // Place of the state kept before step `step`.
    __device__ __forceinline__ int64 checkpoint(int step) const {
        return start / KEEP + sequence + step / KEEP;
    }
};

// The rows of one tile: steps `step`, step + 1, ... or, with `falling`, step, step - 1, ...
struct Rows {
    int first, sign, left;

    __device__ __forceinline__ Rows(
        const Part& part, bool reverse, int step, bool falling, int left_
    ) {
        first = reverse ? part.length - 1 - step : step;
        sign = reverse != falling ? -1 : 1;
        left = left_;
    }

    // The tile's i-th row inside the sequence; whatever where i is not inside the tile.
    __device__ __forceinline__ int row(int i, const int64* perm, int64 start) const {
#if PERM
        return i < left ? int(perm[start + first + sign * i]) : 0;
#else
        return first + sign * i;
#endif
    }
};

// log(1 + e^v) without cancellation, by 2 atanh(e / (2 + e)) with e = e^-|v|, and its slope.
__device__ __forceinline__ float softplus(float v, float& slope) {
    float e = exp2_fast(-LOG2E * fabsf(v));
    float r = reciprocal((1.f + e) * (2.f + e));
    slope = (v >= 0.f ? 1.f : e) * ((2.f + e) * r);
    float s = e * ((1.f + e) * r), w = s * s;
    float p = 0.14087329f * w + 0.13980709f;
    p = p * w + 0.20012427f;
    p = p * w + 0.33333158f;
    p = p * w + 1.f;
    return fmaxf(v, 0.f) + 2.f * s * p;
}

// Slope of softplus where its value is dt: 1 - e^-dt, as a series where that would cancel.
__device__ __forceinline__ float softplus_slope(float dt) {
    float series = 1.f / 24 - dt * (1.f / 120 - dt * (1.f / 720));
    series = dt * (1.f - dt * (0.5f - dt * (1.f / 6 - dt * series)));
    return dt < 0.25f ? series : 1.f - exp2_fast(-LOG2E * dt);
}

// Step size before the walk, and its slope in delta.
__device__ __forceinline__ float step_size(float delta, float& slope) {
#if SOFTPLUS
    return softplus(delta, slope);
#else
    slope = 1.f;
    return delta;
#endif
}

// Add four steps' values over the LANES threads of a channel, and write the sums to rows 0 to 3.
// Each exchange halves what a thread keeps.
__device__ __forceinline__ void put_sums(float* out, const float (&v)[4], const Place& at) {
    out += at.channel;
#if LANES == 1
    for (int i = 0; i < 4; ++i) out[i * PITCH] = v[i];
#else
    bool odd = at.k & 1;
    float low = (odd ? v[1] : v[0]) + __shfl_xor_sync(~0u, odd ? v[0] : v[1], 4);
    float high = (odd ? v[3] : v[2]) + __shfl_xor_sync(~0u, odd ? v[2] : v[3], 4);
#if LANES == 2
    out[at.k * PITCH] = low;
    out[(2 + at.k) * PITCH] = high;
#else
    bool upper = at.k & 2;
    float sum = (upper ? high : low) + __shfl_xor_sync(~0u, upper ? low : high, 8);
#if LANES == 4
    out[at.k * PITCH] = sum;
#else
    sum += __shfl_xor_sync(~0u, sum, 16);
    if (at.k < 4) out[at.k * PITCH] = sum;
#endif
#endif
#endif
}

// The states of this thread's channel, or 0 where there are none. Laid out (slot, width, size).
__device__ __forceinline__ void read_states(
    float (&h)[OWN], const float* states, int64 slot, int64 channel, int first, int64 width,
    int64 size
) {
#pragma unroll
    for (int n = 0; n < OWN; ++n) {
        bool inside = states && channel < width && first + n < size;
        h[n] = inside ? states[(slot * width + channel) * size + first + n] : 0.f;
    }
}

// Rates of the decay as powers of 2, from A or from the logarithm of -A.
__device__ __forceinline__ void read_rates(
    float (&A2)[OWN], const float* A, int64 channel, int first, int64 width, int64 size
) {
    read_states(A2, A, 0, channel, first, width, size);
#pragma unroll
    for (int n = 0; n < OWN; ++n) {
#if LOGARITHM
        bool inside = channel < width && first + n < size;
        A2[n] = inside ? -LOG2E * expf(A2[n]) : 0.f;
#else
        A2[n] *= LOG2E;
#endif
    }
}

__device__ __forceinline__ void write_states(
    const float (&h)[OWN], float* states, int64 slot, int64 channel, int first, int64 width,
    int64 size
) {
#pragma unroll
    for (int n = 0; n < OWN; ++n)
        if (channel < width && first + n < size)
            states[(slot * width + channel) * size + first + n] = h[n];
}
