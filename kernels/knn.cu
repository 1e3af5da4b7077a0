// The k <= 32 nearest support points of each query: a warp a query, a lane a neighbour.
//
// The list lies sorted over the lanes as keys, the distance's bits above the index: keys order by
// distance, then by index. A point enters only if it comes before the k-th. Small clouds are read
// whole; larger ones are sorted along a curve and searched as a tree of boxes with 32 children.

typedef unsigned long long uint64;

#define ALL 0xffffffffu
#define NO_KEY (~0ull)
#define NO_DISTANCE 0xffffffffu
#define CHUNKS 32  // of 32 points, held in registers while the first bound is found

// Rounded operation by operation, as everywhere: no multiply is fused with an add.
__device__ __forceinline__ uint32 squared(float dx, float dy, float dz) {
    return __float_as_uint(
        __fadd_rn(__fadd_rn(__fmul_rn(dx, dx), __fmul_rn(dy, dy)), __fmul_rn(dz, dz)));
}

__device__ __forceinline__ uint64 make_key(uint32 bits, uint32 index) {
    return uint64(bits) << 32 | index;
}

// The last cloud whose first slot is at most `slot`; cloud b's slots of 2^shift rows begin at
// offsets[b] / 2^shift + b, which leaves room for a last slot that is not full.
__device__ __forceinline__ int64 first_slot(const int64* offsets, int cloud, int shift) {
    return (offsets[cloud] >> shift) + (shift ? cloud : 0);
}

__device__ __forceinline__ int cloud_of(const int64* offsets, int clouds, int64 slot, int shift) {
    int low = 0, high = clouds - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (first_slot(offsets, middle, shift) <= slot) low = middle; else high = middle - 1;
    }
    return low;
}

struct Best {
    uint64 own;    // this lane's key
    uint64 worst;  // the k-th key, the same in every lane
};

// Insert the keys of the lanes in `mask`.
__device__ __forceinline__ void insert(Best& best, uint64 key, uint32 mask, int k) {
    const int lane = threadIdx.x % 32;
    for (; mask; mask &= mask - 1) {
        const uint64 next = __shfl_sync(ALL, key, __ffs(mask) - 1);
        if (next >= best.worst) continue;
        const bool stays = best.own < next;
        const uint64 above = __shfl_up_sync(ALL, best.own, 1);
        const int place = __popc(__ballot_sync(ALL, stays));
        if (!stays) best.own = lane == place ? next : above;
        best.worst = min(best.worst, __shfl_sync(ALL, best.own, k - 1));
    }
}

__device__ __forceinline__ void write(
    const Best& best, int64 row, int k, int64* idx, float* dist2
) {
    const int lane = threadIdx.x % 32;
    if (lane >= k) return;
    const bool found = best.own != NO_KEY;
    idx[row * k + lane] = found ? int64(best.own & 0xffffffffu) : -1;
    dist2[row * k + lane] = found ? __uint_as_float(uint32(best.own >> 32)) : 0.f;
}

// The k-th smallest of the lanes' values.
__device__ __forceinline__ uint32 kth(uint32 value, int k) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int size = 2; size <= 32; size *= 2)
#pragma unroll
        for (int d = size / 2; d; d /= 2) {
            const uint32 other = __shfl_xor_sync(ALL, value, d);
            const bool lower = ((lane & size) == 0) == ((lane & d) == 0);
            value = lower ? min(value, other) : max(value, other);
        }
    return __shfl_sync(ALL, value, k - 1);
}

// `planes` (3, T): x, y and z of the support points.
extern "C" __global__ void __launch_bounds__(256) knn_all(
    const float* __restrict__ query, const float* __restrict__ planes,
    const int64* __restrict__ query_offsets, const int64* __restrict__ support_offsets,
    int64* __restrict__ idx, float* __restrict__ dist2,
    int clouds, int64 queries, int64 total, int k
) {
    const int lane = threadIdx.x % 32;
    const int64 row = int64(blockIdx.x) * 8 + threadIdx.x / 32;
    if (row >= queries) return;
    const int cloud = cloud_of(query_offsets, clouds, row, 0);
    const int64 low = support_offsets[cloud];
    const int length = int(support_offsets[cloud + 1] - low);
    const float qx = query[3 * row], qy = query[3 * row + 1], qz = query[3 * row + 2];
    const float* x = planes + low;
    const float* y = planes + total + low;
    const float* z = planes + 2 * total + low;
    Best best{NO_KEY, NO_KEY};
    for (int begin = 0; begin < length; begin += 32 * CHUNKS) {
        uint32 bits[CHUNKS], least = NO_DISTANCE;
#pragma unroll
        for (int j = 0; j < CHUNKS; ++j) {
            const int i = begin + 32 * j + lane;
            bits[j] = NO_DISTANCE;
            if (i < length) bits[j] = squared(qx - x[i], qy - y[i], qz - z[i]);
            least = min(least, bits[j]);
        }
        // At least k points are as near as the k-th of the lanes' nearest: no other need enter.
        if (begin == 0) {
            const uint32 bound = kth(least, k);
            if (bound != NO_DISTANCE) best.worst = make_key(bound + 1, 0);
        }
#pragma unroll
        for (int j = 0; j < CHUNKS; ++j) {
            const uint32 mask = __ballot_sync(ALL, bits[j] < uint32(best.worst >> 32));
            if (mask) insert(best, make_key(bits[j], begin + 32 * j + lane), mask, k);
        }
    }
    write(best, row, k, idx, dist2);
}

// A box of points or of boxes.
struct Box { float4 low, high; };

__device__ __forceinline__ Box whole(Box box) {
    for (int d = 16; d; d /= 2) {
        box.low.x = fminf(box.low.x, __shfl_xor_sync(ALL, box.low.x, d));
        box.low.y = fminf(box.low.y, __shfl_xor_sync(ALL, box.low.y, d));
        box.low.z = fminf(box.low.z, __shfl_xor_sync(ALL, box.low.z, d));
        box.high.x = fmaxf(box.high.x, __shfl_xor_sync(ALL, box.high.x, d));
        box.high.y = fmaxf(box.high.y, __shfl_xor_sync(ALL, box.high.y, d));
        box.high.z = fmaxf(box.high.z, __shfl_xor_sync(ALL, box.high.z, d));
    }
    return box;
}

// Boxes of level `level` (0: of points), a warp a box; `below` are those of the level before.
// Level 0 also writes the points (T, 4) in the curve's order: x, y, z, index in the cloud.
extern "C" __global__ void __launch_bounds__(256) build_level(
    const float* __restrict__ support, const int64* __restrict__ offsets,
    const int* __restrict__ order, float4* __restrict__ points,
    const Box* __restrict__ below, Box* __restrict__ boxes, int clouds, int64 slots, int level
) {
    const int lane = threadIdx.x % 32;
    const int64 slot = int64(blockIdx.x) * 8 + threadIdx.x / 32;
    if (slot >= slots) return;
    const int shift = 5 * (level + 1);
    const int cloud = cloud_of(offsets, clouds, slot, shift);
    const int64 low = offsets[cloud], length = offsets[cloud + 1] - low;
    const int64 child = (slot - first_slot(offsets, cloud, shift)) * 32 + lane;
    const int64 children = (length + (int64(1) << (shift - 5)) - 1) >> (shift - 5);
    const float far = __int_as_float(0x7f800000);
    Box box{make_float4(far, far, far, 0.f), make_float4(-far, -far, -far, 0.f)};
    if (child < children && level > 0) box = below[first_slot(offsets, cloud, shift - 5) + child];
    if (child < children && level == 0) {
        const int own = order[low + child];
        const float* p = support + 3 * int64(own);
        box.low = box.high = make_float4(p[0], p[1], p[2], __int_as_float(own - int(low)));
        points[low + child] = box.low;
    }
    box = whole(box);
    if (lane == 0) boxes[slot] = box;
}

struct Search {
    const float4* points;
    const Box* boxes[LEVELS];
    const int64* offsets;
    int64 low, length;
    int cloud, k;
    float x, y, z;
    Best best;
};

template <int LEVEL> __device__ __forceinline__ void visit(Search& s, int64 node);

// A leaf: 32 points, one a lane.
template <> __device__ __forceinline__ void visit<0>(Search& s, int64 node) {
    const int64 i = node * 32 + threadIdx.x % 32;
    uint64 key = NO_KEY;
    if (i < s.length) {
        const float4 p = s.points[s.low + i];
        key = make_key(squared(s.x - p.x, s.y - p.y, s.z - p.z), __float_as_uint(p.w));
    }
    const uint32 mask = __ballot_sync(ALL, key < s.best.worst);
    insert(s.best, key, mask, s.k);
}

// The children, the nearest first, until none can hold a point before the k-th. Rounding keeps
// order in every operation, so a box is never farther than a point in it; at equal distance the
// index decides, so such a box is entered.
template <int LEVEL> __device__ __forceinline__ void visit(Search& s, int64 node) {
    const int shift = 5 * LEVEL;
    const int64 child = node * 32 + threadIdx.x % 32;
    uint32 far = NO_DISTANCE;
    if (child < (s.length + (int64(1) << shift) - 1) >> shift) {
        const Box b = s.boxes[LEVEL - 1][first_slot(s.offsets, s.cloud, shift) + child];
        far = squared(fmaxf(fmaxf(b.low.x - s.x, s.x - b.high.x), 0.f),
                      fmaxf(fmaxf(b.low.y - s.y, s.y - b.high.y), 0.f),
                      fmaxf(fmaxf(b.low.z - s.z, s.z - b.high.z), 0.f));
    }
    while (true) {
        const uint32 nearest = __reduce_min_sync(ALL, far);
        if (nearest == NO_DISTANCE || nearest > uint32(s.best.worst >> 32)) return;
        const int who = __ffs(__ballot_sync(ALL, far == nearest)) - 1;
        if (int(threadIdx.x % 32) == who) far = NO_DISTANCE;
        visit<LEVEL - 1>(s, node * 32 + who);
    }
}

// `query_order` makes warps that run together search together.
extern "C" __global__ void __launch_bounds__(256, 4) knn_tree(
    const float* __restrict__ query, const float4* __restrict__ points,
    const Box* __restrict__ boxes, const int* __restrict__ query_order,
    const int64* __restrict__ query_offsets, const int64* __restrict__ support_offsets,
    int64* __restrict__ idx, float* __restrict__ dist2,
    int clouds, int64 queries, int64 total, int k
) {
    const int64 turn = int64(blockIdx.x) * 8 + threadIdx.x / 32;
    if (turn >= queries) return;
    const int64 row = query_order[turn];
    Search s;
    s.points = points;
    for (int level = 0; level < LEVELS; ++level) {
        s.boxes[level] = boxes;
        boxes += (total >> 5 * (level + 1)) + clouds;
    }
    s.offsets = support_offsets;
    s.cloud = cloud_of(query_offsets, clouds, row, 0);
    s.low = support_offsets[s.cloud];
    s.length = support_offsets[s.cloud + 1] - s.low;
    s.k = k;
    s.x = query[3 * row];
    s.y = query[3 * row + 1];
    s.z = query[3 * row + 2];
    s.best = Best{NO_KEY, NO_KEY};
    visit<LEVELS>(s, 0);
    write(s.best, row, k, idx, dist2);
}
