// Farthest point sampling: a block a cloud, one barrier a step.
//
// Squared distances are not negative, so their bits as integers order them alike. A warp finds its
// largest bits, then the lowest index that has them; the warps' findings meet in shared memory,
// which two steps use in turn.
// THREADS (a multiple of 32) threads a block; POINTS of the cloud in the registers of each.

#define ALL 0xffffffffu
#define NOWHERE 0x7fffffff
#define INFINITE __int_as_float(0x7f800000)
#define WARPS (THREADS / 32)
#define BOX 128  // points of a box: four a lane, so that loads overlap

struct Cloud { int64 low, first; int length, count, start; };

__device__ __forceinline__ Cloud find_cloud(
    const int64* offsets, const int64* start, const int64* sample_offsets
) {
    const int64 b = blockIdx.x;
    Cloud c;
    c.low = offsets[b];
    c.length = int(offsets[b + 1] - c.low);
    c.first = sample_offsets[b];
    c.count = min(int(sample_offsets[b + 1] - c.first), c.length);
    // A start outside the cloud is the caller's error; it must not become a read outside memory.
    c.start = int(max(min(start[b], int64(c.length - 1)), int64(0)));
    return c;
}

// Rounded operation by operation, as everywhere: no multiply is fused with an add.
__device__ __forceinline__ float squared(float dx, float dy, float dz) {
    return __fadd_rn(__fadd_rn(__fmul_rn(dx, dx), __fmul_rn(dy, dy)), __fmul_rn(dz, dz));
}

// A warp's largest bits and the lowest index that has them.
struct Slot { int bits, index; };

extern "C" __global__ void __launch_bounds__(THREADS, 1) sample_registers(
    const float* __restrict__ xyz, const int64* __restrict__ offsets,
    const int64* __restrict__ start, const int64* __restrict__ sample_offsets,
    int64* __restrict__ samples
) {
    extern __shared__ float points[];  // the cloud as x, y, z a point
    __shared__ Slot slots[2][WARPS];
    const Cloud c = find_cloud(offsets, start, sample_offsets);
    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    for (int i = t; i < 3 * c.length; i += THREADS) points[i] = xyz[3 * c.low + i];
    __syncthreads();
    float x[POINTS], y[POINTS], z[POINTS];
    int nearest[POINTS];
#pragma unroll
    for (int j = 0; j < POINTS; ++j) {
        const int i = t + j * THREADS;
        const bool inside = i < c.length;
        x[j] = inside ? points[3 * i] : 0.f;
        y[j] = inside ? points[3 * i + 1] : 0.f;
        z[j] = inside ? points[3 * i + 2] : 0.f;
        nearest[j] = inside ? 0x7f800000 : -1;
    }
    int last = c.start;
    for (int m = 0; m < c.count; ++m) {
        if (t == 0) samples[c.first + m] = last;
        const float px = points[3 * last], py = points[3 * last + 1], pz = points[3 * last + 2];
        int bits = -1, index = NOWHERE;
#pragma unroll
        for (int j = 0; j < POINTS; ++j) {
            const float d = squared(x[j] - px, y[j] - py, z[j] - pz);
            nearest[j] = min(nearest[j], __float_as_int(d));
            if (nearest[j] > bits) { bits = nearest[j]; index = t + j * THREADS; }
        }
        const int most = __reduce_max_sync(ALL, bits);
        const int lowest = __reduce_min_sync(ALL, bits == most ? index : NOWHERE);
        if (WARPS == 1) { last = lowest; continue; }
        Slot* slot = slots[m & 1];
        if (lane == 0) slot[warp] = Slot{most, lowest};
        __syncthreads();
        const Slot other = slot[lane % WARPS];
        const int top = __reduce_max_sync(ALL, other.bits);
        last = __reduce_min_sync(ALL, other.bits == top ? other.index : NOWHERE);
    }
}

// The larger clouds: points sorted along a curve, in boxes of BOX. A box farther from the new
// sample than its points are from the old ones keeps its distances, and so its largest. Rounding
// keeps order in every operation, so a box is never farther than a point in it.
// A box lies in shared memory as nine rows of one word a box: bounds, largest bits, its index and
// where it is.

enum { LOW_X, LOW_Y, LOW_Z, HIGH_X, HIGH_Y, HIGH_Z, BITS, INDEX, PLACE };

// Bounds of the box's points and its state before the first step.
__device__ __forceinline__ void open_box(
    const float* xyz, const int* order, float4* records, float* nearest, float* boxes,
    int stride, int slot, const Cloud& c, int box, int size
) {
    float low[3] = {INFINITE, INFINITE, INFINITE}, high[3] = {-INFINITE, -INFINITE, -INFINITE};
    for (int j = threadIdx.x % 32; j < size; j += 32) {
        const int64 i = int64(box) * size + j;
        if (i >= c.length) break;
        const int own = order[c.low + i] - int(c.low);
        const float* p = xyz + 3 * (c.low + own);
        records[c.low + i] = make_float4(p[0], p[1], p[2], __int_as_float(own));
        nearest[c.low + i] = INFINITE;
#pragma unroll
        for (int a = 0; a < 3; ++a) {
            low[a] = fminf(low[a], p[a]);
            high[a] = fmaxf(high[a], p[a]);
        }
    }
#pragma unroll
    for (int a = 0; a < 3; ++a) {
        for (int d = 16; d; d /= 2) {
            low[a] = fminf(low[a], __shfl_xor_sync(ALL, low[a], d));
            high[a] = fmaxf(high[a], __shfl_xor_sync(ALL, high[a], d));
        }
    }
    if (threadIdx.x % 32) return;
#pragma unroll
    for (int a = 0; a < 3; ++a) {
        boxes[(LOW_X + a) * stride + slot] = low[a];
        boxes[(HIGH_X + a) * stride + slot] = high[a];
    }
    const bool used = int64(box) * size < c.length;
    boxes[BITS * stride + slot] = __int_as_float(used ? 0x7f800000 : -1);
    boxes[INDEX * stride + slot] = __int_as_float(NOWHERE);
    boxes[PLACE * stride + slot] = __int_as_float(0);
}

__device__ __forceinline__ float box_distance(
    const float* boxes, int stride, int slot, float px, float py, float pz
) {
    const float* b = boxes + slot;
    const float dx = fmaxf(fmaxf(b[LOW_X * stride] - px, px - b[HIGH_X * stride]), 0.f);
    const float dy = fmaxf(fmaxf(b[LOW_Y * stride] - py, py - b[HIGH_Y * stride]), 0.f);
    const float dz = fmaxf(fmaxf(b[LOW_Z * stride] - pz, pz - b[HIGH_Z * stride]), 0.f);
    return squared(dx, dy, dz);
}

// Distances of the box's points to the new sample, by a whole warp.
__device__ __forceinline__ void update_box(
    const float4* records, float* nearest, float* boxes, int stride, int slot,
    const Cloud& c, int box, int size, float px, float py, float pz
) {
    int bits = -1, index = NOWHERE, place = 0;
    for (int begin = 0; begin < size; begin += BOX) {
        float4 p[BOX / 32];
        float d[BOX / 32];
        const int64 i = int64(box) * size + begin + threadIdx.x % 32;
#pragma unroll
        for (int j = 0; j < BOX / 32; ++j) {
            const bool inside = i + 32 * j < c.length;
            p[j] = inside ? records[c.low + i + 32 * j] : make_float4(0.f, 0.f, 0.f, 0.f);
            d[j] = inside ? nearest[c.low + i + 32 * j] : __int_as_float(-1);
        }
#pragma unroll
        for (int j = 0; j < BOX / 32; ++j) {
            const float far = squared(p[j].x - px, p[j].y - py, p[j].z - pz);
            const int mine = min(__float_as_int(d[j]), __float_as_int(far));
            if (mine >= 0) nearest[c.low + i + 32 * j] = __int_as_float(mine);
            const int own = __float_as_int(p[j].w);
            if (mine > bits || (mine == bits && mine >= 0 && own < index)) {
                bits = mine;
                index = own;
                place = int(i) + 32 * j;
            }
        }
    }
    const int most = __reduce_max_sync(ALL, bits);
    const int lowest = __reduce_min_sync(ALL, bits == most ? index : NOWHERE);
    if (bits == most && index == lowest) {
        boxes[BITS * stride + slot] = __int_as_float(most);
        boxes[INDEX * stride + slot] = __int_as_float(lowest);
        boxes[PLACE * stride + slot] = __int_as_float(place);
    }
}

// `slots_a_warp` is a multiple of 32. Neighbouring boxes go to different warps.
extern "C" __global__ void __launch_bounds__(THREADS, 1) sample_boxes(
    const float* __restrict__ xyz, const int64* __restrict__ offsets,
    const int64* __restrict__ start, const int64* __restrict__ sample_offsets,
    const int* __restrict__ order, float4* records, float* nearest,
    int64* __restrict__ samples, int slots_a_warp, int size
) {
    extern __shared__ float boxes[];
    __shared__ Slot slots[2][WARPS];
    __shared__ float4 winners[2][WARPS];
    const Cloud c = find_cloud(offsets, start, sample_offsets);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int stride = WARPS * slots_a_warp, own = warp * slots_a_warp;
    for (int s = 0; s < slots_a_warp; ++s)
        open_box(xyz, order, records, nearest, boxes, stride, own + s, c, s * WARPS + warp, size);
    __syncwarp();
    if (c.count == 0) return;
    int last = c.start;
    const float* p = xyz + 3 * (c.low + last);
    float px = p[0], py = p[1], pz = p[2];
    for (int m = 0; m < c.count; ++m) {
        if (threadIdx.x == 0) samples[c.first + m] = last;
        int bits = -1, index = NOWHERE, place = 0;
        for (int s = 0; s < slots_a_warp; s += 32) {
            const int slot = own + s + lane;
            const float far = box_distance(boxes, stride, slot, px, py, pz);
            const bool near = __float_as_int(far) < __float_as_int(boxes[BITS * stride + slot]);
            unsigned touched = __ballot_sync(ALL, near);
            for (; touched; touched &= touched - 1) {
                const int one = s + __ffs(touched) - 1;
                update_box(records, nearest, boxes, stride, own + one, c, one * WARPS + warp, size,
                           px, py, pz);
            }
            __syncwarp();
            const int mine = __float_as_int(boxes[BITS * stride + slot]);
            const int row = __float_as_int(boxes[INDEX * stride + slot]);
            if (mine > bits || (mine == bits && row < index)) {
                bits = mine;
                index = row;
                place = __float_as_int(boxes[PLACE * stride + slot]);
            }
        }
        const int most = __reduce_max_sync(ALL, bits);
        const int lowest = __reduce_min_sync(ALL, bits == most ? index : NOWHERE);
        if (most < 0 ? lane == 0 : bits == most && index == lowest) {
            slots[m & 1][warp] = Slot{most, lowest};
            // Every warp reads the winner's coordinates; only the found one's are looked at.
            if (most >= 0) winners[m & 1][warp] = records[c.low + place];
        }
        __syncthreads();
        const Slot other = slots[m & 1][lane % WARPS];
        const int top = __reduce_max_sync(ALL, other.bits);
        last = __reduce_min_sync(ALL, other.bits == top ? other.index : NOWHERE);
        const unsigned found = __ballot_sync(ALL, other.bits == top && other.index == last);
        const float4 next = winners[m & 1][(__ffs(found) - 1) % WARPS];
        px = next.x;
        py = next.y;
        pz = next.z;
    }
}
