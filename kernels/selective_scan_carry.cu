// States at the start of each part of a cut sequence, from every part's own end and decay.
//
// A thread owns a state of a channel and replaces the ends, (slots, width, size), one after another.
// With `backward` the parts follow each other from the last to the first.

extern "C" __global__ void __launch_bounds__(128) selective_scan_carry(
    const float* A, const float* A_second, const float* initial, const float* initial_second,
    float* ends, const float* sums, const int64* offsets,
    int64 sequences, int64 slots, int64 width, int64 size, int64 segment, int64 backward
) {
    const int64 place = int64(blockIdx.x) * 128 + threadIdx.x, states = width * size;
    if (place >= sequences * states) return;
    const int64 sequence = place / states, own = place % states, channel = own / size;
    const bool second = blockIdx.y;
    ends += second * slots * states + own;
    sums += second * slots * width + channel;
    initial = second ? initial_second : initial;
    const float given = (second ? A_second : A)[own];
    const float A2 = 1.4426950408889634f * (LOGARITHM ? -expf(given) : given);
    const int64 start = offsets[sequence], length = offsets[sequence + 1] - start;
    const int64 parts = length > segment ? (length + segment - 1) / segment : 1;
    const int64 first = start / segment + sequence;
    float state = initial ? initial[place] : 0.f;
#pragma unroll 8
    for (int64 i = 0; i < parts; ++i) {
        int64 slot = first + (backward ? parts - 1 - i : i);
        float end = ends[slot * states];
        ends[slot * states] = state;
        state = exp2_fast(A2 * sums[slot * width]) * state + end;
    }
}
