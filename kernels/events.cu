// The ops on events: a thread an event, integers added or compared in memory.
//
// Macros: XY, TIME, SIGN types of the coordinates, times and polarities; MODE one of
//   0 frames of equal counts, 1 frames of equal spans of time, 2 rising times given.

typedef signed char int8;
typedef unsigned char uint8;
typedef short int16;
typedef int int32;
typedef unsigned long long word;

constexpr int NARROW = 20;  // bits of a share where both sums of a cell lie in one word
constexpr int WIDE = 32;    // bits of a share where each has a word of its own
constexpr int FIELD = 42;   // bits of the sum of shares: NARROW + 21, and the sign
constexpr int THREADS = 256;

struct Events {
    const XY* x;
    const XY* y;
    const TIME* t;
    const SIGN* p;
    const int64* offsets;
    int64 events;
    int recordings;
    int bins;
    int height;
    int width;
};

struct Place {
    int64 row;     // recording
    int64 first;   // its first event
    int64 length;  // number of its events
    int64 pixel;
    int positive;
};

// Where event `e` stands, or false if it is outside the sensor or there is none.
__device__ __forceinline__ bool find(const Events& in, int64 e, Place& out) {
    if (e >= in.events) return false;
    int64 x = in.x[e], y = in.y[e];
    out.positive = in.p[e] > SIGN(0);
    out.pixel = y * in.width + x;
    out.row = 0;
    out.first = 0;
    out.length = in.events;
    if (in.offsets) {
        int64 high = in.recordings;
        while (high - out.row > 1) {
            int64 middle = (out.row + high) / 2;
            if (in.offsets[middle] <= e) out.row = middle; else high = middle;
        }
        out.first = in.offsets[out.row];
        out.length = in.offsets[out.row + 1] - out.first;
    }
    return x >= 0 && x < in.width && y >= 0 && y < in.height;
}

// Quotient of numbers >= 0, in 32 bits where they fit.
__device__ __forceinline__ int64 divide(int64 a, int64 b) {
    if (!((a | b) >> 32)) return uint32(a) / uint32(b);
    return a / b;
}

__device__ __forceinline__ int64 frame_of(
    const Events& in, const Place& at, int64 e, const int64* times
) {
    if (MODE == 0) return divide((e - at.first) * in.bins, at.length);
    int64 t = in.t[e];
    if (MODE == 1) {
        int64 begin = in.t[at.first], end = in.t[at.first + at.length - 1];
        if (t < begin) return -1;
        int64 frame = divide((t - begin) * in.bins, max(end - begin + 1, 1LL));
        return frame < in.bins ? frame : in.bins - 1;
    }
    int64 frame = 0;
    while (frame < in.bins && times[at.row * in.bins + frame] < t) frame++;
    return frame;
}

extern "C" __global__ void __launch_bounds__(THREADS) count(
    const XY* x, const XY* y, const TIME* t, const SIGN* p, const int64* offsets, int* counts,
    int64 events, int recordings, int bins, int height, int width
) {
    Events in = {x, y, t, p, offsets, events, recordings, bins, height, width};
    int64 e = int64(blockIdx.x) * THREADS + threadIdx.x;
    Place at;
    if (!find(in, e, at)) return;
    int64 frame = frame_of(in, at, e, nullptr);
    if (frame < 0 || frame >= bins) return;
    int64 plane = (at.row * bins + frame) * 2 + at.positive;
    atomicAdd(counts + plane * height * width + at.pixel, 1);
}

extern "C" __global__ void __launch_bounds__(THREADS) share(
    const XY* x, const XY* y, const TIME* t, const SIGN* p, const int64* offsets, word* sums,
    int64 events, int recordings, int bins, int height, int width, int is_signed, int narrow
) {
    Events in = {x, y, t, p, offsets, events, recordings, bins, height, width};
    int64 e = int64(blockIdx.x) * THREADS + threadIdx.x;
    Place at;
    if (!find(in, e, at)) return;
    int64 begin = t[at.first], span = int64(t[at.first + at.length - 1]) - begin;
    double place = __ddiv_rn(double((t[e] - begin) * (bins - 1)), double(max(span, 1LL)));
    int64 b = int64(place);
    if (place < 0 || b >= bins) return;
    int bits = narrow ? NARROW : WIDE;
    // Contraction cannot change the product by a power of two, nor so the sum.
    int64 part = int64(__dadd_rn((place - double(b)) * double(1LL << bits), 0.5));
    int64 sign = is_signed && !at.positive ? -1 : 1;
    int channels = is_signed ? 1 : 2;
    int64 area = int64(height) * width;
    int64 plane = (at.row * bins + b) * channels + (is_signed ? 0 : at.positive);
    word* cell = sums + plane * area + at.pixel;
    if (narrow) {
        // Number of events above, sum of the shares of the next instant below, in one word.
        atomicAdd(cell, word(sign * ((1LL << FIELD) + part)));
    } else {
        atomicAdd(cell, word(sign * ((1LL << WIDE) - part)));
        if (b + 1 < bins) atomicAdd(cell + channels * area, word(sign * part));
    }
}

__device__ __forceinline__ int64 shares(int64 value) {
    return int64(word(value) << (64 - FIELD)) >> (64 - FIELD);
}

__device__ __forceinline__ float unpack(int64 total, int64 before, int narrow) {
    int bits = narrow ? NARROW : WIDE;
    if (narrow) {
        int64 own = shares(total);
        total = ((total - own) >> FIELD) * (1LL << NARROW) - own + shares(before);
    }
    return float(double(total) * (1.0 / double(1LL << bits)));
}

// A thread owns a cell, or two side by side where rows of two are aligned, at all instants: each
// word is read once.
template <typename WORDS, typename FLOATS, int CELLS>
__device__ __forceinline__ void grid_of(
    const int64* sums, float* out, int bins, int64 plane, int narrow
) {
    uint32 blocks = uint32((plane + CELLS * THREADS - 1) / (CELLS * THREADS));  // of a recording
    int64 cell = (int64(blockIdx.x % blocks) * THREADS + threadIdx.x) * CELLS;
    if (cell >= plane) return;
    int64 base = int64(blockIdx.x / blocks) * bins * plane + cell;
    int64 before[CELLS] = {};
    #pragma unroll 5
    for (int b = 0; b < bins; b++) {
        union { WORDS all; int64 each[CELLS]; } total;
        union { FLOATS all; float each[CELLS]; } value;
        total.all = *reinterpret_cast<const WORDS*>(sums + base + b * plane);
        #pragma unroll
        for (int k = 0; k < CELLS; k++) {
            value.each[k] = unpack(total.each[k], before[k], narrow);
            before[k] = total.each[k];
        }
        *reinterpret_cast<FLOATS*>(out + base + b * plane) = value.all;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) grid(
    const int64* sums, float* out, int bins, int64 plane, int narrow
) {
    if (plane % 2) grid_of<int64, float, 1>(sums, out, bins, plane, narrow);
    else grid_of<longlong2, float2, 2>(sums, out, bins, plane, narrow);
}

extern "C" __global__ void __launch_bounds__(THREADS) latest(
    const XY* x, const XY* y, const TIME* t, const SIGN* p, const int64* offsets,
    const int64* times, word* last, int64 events, int recordings, int bins, int height, int width
) {
    Events in = {x, y, t, p, offsets, events, recordings, bins, height, width};
    int64 e = int64(blockIdx.x) * THREADS + threadIdx.x;
    Place at;
    if (!find(in, e, at)) return;
    int64 frame = frame_of(in, at, e, times);
    if (frame < 0 || frame >= bins) return;
    int64 since = int64(t[e]) - int64(t[at.first]) + 1;
    int64 plane = (at.row * bins + frame) * 2 + at.positive;
    if (since > 0) atomicMax(last + plane * height * width + at.pixel, word(since));
}

extern "C" __global__ void __launch_bounds__(THREADS) surface(
    const TIME* t, const int64* offsets, const int64* times, const int64* last, float* out,
    int64 events, int bins, int64 pixels, float rate, int linear
) {
    uint32 blocks = uint32((pixels + THREADS - 1) / THREADS);  // of a recording
    int64 row = blockIdx.x / blocks, pixel = int64(blockIdx.x % blocks) * THREADS + threadIdx.x;
    if (pixel >= pixels) return;
    int64 first = offsets ? offsets[row] : 0;
    int64 length = offsets ? offsets[row + 1] - first : events;
    int64 begin = length ? t[first] : 0, end = length ? t[first + length - 1] : 0;
    int64 seen = 0;
    for (int f = 0; f < bins; f++) {
        int64 cell = (row * bins + f) * pixels + pixel;
        seen = max(seen, last[cell]);
        int64 now = 0;
        if (MODE == 2) now = times[row * bins + f];
        else if (MODE == 1) now = begin + divide((f + 1) * (end - begin + 1) + bins - 1, bins) - 1;
        else if (length) now = t[first + divide((f + 1) * length + bins - 1, bins) - 1];
        float age = float(now - begin + 1 - seen) * rate;
        float value = linear ? fmaxf(1.f - age, 0.f) : expf(-age);
        out[cell] = seen > 0 ? value : 0.f;
    }
}
