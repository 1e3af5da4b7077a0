// Serialization of clouds of up to 4096 points: a block numbers and sorts one cloud by one order.
//
// Macros: CELLS 1 for int64 cells, 0 for float coordinates; LOG_POINTS, at least 6, so that
// 2^LOG_POINTS points hold the largest cloud.

#if CELLS
typedef int64 coord;
#define LARGEST 0x7fffffffffffffffLL
#else
typedef float coord;
#define LARGEST __int_as_float(0x7f800000)
#endif

typedef unsigned long long word;

constexpr int POINTS = 1 << LOG_POINTS;
constexpr int THREADS = POINTS / 2 < 512 ? POINTS / 2 : 512;
constexpr int EACH = POINTS / THREADS;
constexpr int WARPS = THREADS / 32;
constexpr int MAX_DEPTH = 20;
constexpr int INDEX_BITS = 12;  // of a packed word, below 51 bits of the code
constexpr word LAST = ~0ull;    // places beyond the cloud

struct Cloud {
    coord low[3];
    coord high[3];
    coord value[EACH][3];  // of the points of this thread
    int64 first;
    int length;
    float edge;
    int last;  // cell of a cube, INT_MAX for cells of one size
};

__device__ __forceinline__ coord lesser(coord a, coord b) { return b < a ? b : a; }
__device__ __forceinline__ coord greater(coord a, coord b) { return b > a ? b : a; }

// Bounds of the block's cloud: within threads, warps, then the block.
__device__ __forceinline__ void read_cloud(
    Cloud& cloud, const coord* xyz, const int64* offsets, int row, int points, float size, int depth
) {
    __shared__ coord shared[WARPS][6];
    cloud.first = offsets ? offsets[row] : int64(row) * points;
    cloud.length = offsets ? int(offsets[row + 1] - cloud.first) : points;
    #pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        cloud.low[axis] = LARGEST;
        cloud.high[axis] = -LARGEST;
    }
    #pragma unroll
    for (int k = 0; k < EACH; k++) {
        int place = k * THREADS + threadIdx.x;
        if (place >= cloud.length) continue;
        #pragma unroll
        for (int axis = 0; axis < 3; axis++) {
            coord value = xyz[(cloud.first + place) * 3 + axis];
            cloud.value[k][axis] = value;
            cloud.low[axis] = lesser(cloud.low[axis], value);
            cloud.high[axis] = greater(cloud.high[axis], value);
        }
    }
    #pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        #pragma unroll
        for (int lane = 16; lane; lane /= 2) {
            coord low = __shfl_xor_sync(~0u, cloud.low[axis], lane);
            coord high = __shfl_xor_sync(~0u, cloud.high[axis], lane);
            cloud.low[axis] = lesser(cloud.low[axis], low);
            cloud.high[axis] = greater(cloud.high[axis], high);
        }
        if (threadIdx.x % 32 == 0) {
            shared[threadIdx.x / 32][axis] = cloud.low[axis];
            shared[threadIdx.x / 32][3 + axis] = cloud.high[axis];
        }
    }
    __syncthreads();
    #pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        #pragma unroll
        for (int warp = 0; warp < WARPS; warp++) {
            cloud.low[axis] = lesser(cloud.low[axis], shared[warp][axis]);
            cloud.high[axis] = greater(cloud.high[axis], shared[warp][3 + axis]);
        }
    }
    cloud.edge = size;
    cloud.last = 0x7fffffff;
#if !CELLS
    if (size == 0.f) {
        float side = 0.f;
        #pragma unroll
        for (int axis = 0; axis < 3; axis++) side = greater(side, cloud.high[axis] - cloud.low[axis]);
        side = __fdiv_rn(side, float(1 << depth));
        cloud.edge = side > 0.f ? side : 1.f;
        cloud.last = (1 << depth) - 1;
    }
#endif
}

// Cell counted from the smallest of the cloud; floor(a / g) - floor(b / g), not floor((a - b) / g).
__device__ __forceinline__ int cell_of(const Cloud& cloud, coord value, int axis, bool cube) {
#if CELLS
    return int(value - cloud.low[axis]);
#else
    if (cube) {
        int cell = int(floorf(__fdiv_rn(value - cloud.low[axis], cloud.edge)));
        return cell < cloud.last ? cell : cloud.last;
    }
    int origin = int(floorf(__fdiv_rn(cloud.low[axis], cloud.edge)));
    return int(floorf(__fdiv_rn(value, cloud.edge))) - origin;
#endif
}

__device__ __forceinline__ int pick(int axis, const int* of) {
    return axis == 0 ? of[0] : axis == 1 ? of[1] : of[2];
}

// Move bit i of a number of up to 21 bits to bit 3i.
__device__ __forceinline__ int64 spread(int64 v) {
    v = (v | v << 32) & 0x1f00000000ffffLL;
    v = (v | v << 16) & 0x1f0000ff0000ffLL;
    v = (v | v << 8) & 0x100f00f00f00f00fLL;
    v = (v | v << 4) & 0x10c30c30c30c30c3LL;
    return (v | v << 2) & 0x1249249249249249LL;
}

__device__ __forceinline__ int64 interleave(int a, int b, int c) {
    return spread(a) << 2 | spread(b) << 1 | spread(c);
}

__device__ __forceinline__ int64 snake(int64 c1, int64 c2, int64 c3, int64 w1, int64 w2) {
    int64 place = c2 * w1 + (c2 & 1 ? w1 - 1 - c1 : c1);
    return c3 * (w1 * w2) + (c3 & 1 ? w1 * w2 - 1 - place : place);
}

__device__ __forceinline__ void exchange(int& a, int& b, int bit, int low) {
    int invert = -(b >> bit & 1) & low;
    int differ = (a ^ b) & (low ^ invert);
    a ^= differ ^ invert;
    b ^= differ;
}

__device__ __forceinline__ int64 hilbert(int a, int b, int c, int bits) {
    for (int bit = bits - 1; bit >= 0; bit--) {
        int low = (1 << bit) - 1;
        a ^= -(a >> bit & 1) & low;
        exchange(a, b, bit, low);
        exchange(a, c, bit, low);
    }
    int64 code = interleave(a, b, c);
    for (int shift = 1; shift < 64; shift *= 2) code ^= code >> shift;  // Gray code to binary
    return code;
}

// Hash of a place, 63 bits: the finalizer of splitmix64.
__device__ __forceinline__ int64 scatter(int place, word start) {
    word v = word(place + 1) * 0x9e3779b97f4a7c15ull + start;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ v >> 27) * 0x94d049bb133111ebull;
    return int64((v ^ v >> 31) & 0x7fffffffffffffffull);
}

// An order is six times its kind plus the number of its axes: xyz xzy yxz yzx zxy zyx.
__device__ __forceinline__ int64 encode(
    const int* cell, const int* extent, const int* scope, int place, int order, int depth, word start
) {
    int kind = order / 6;
    int a1 = order % 6 / 2;
    int lower = a1 == 0 ? 1 : 0, upper = a1 == 2 ? 1 : 2;
    int a2 = order % 2 ? upper : lower;
    int a3 = 3 - a1 - a2;
    int c1 = pick(a1, cell), c2 = pick(a2, cell), c3 = pick(a3, cell);
    if (kind == 0) return snake(c1, c2, c3, int64(pick(a1, extent)) + 1, int64(pick(a2, extent)) + 1);
    if (kind == 1) return (pick(a2, scope) ^ pick(a3, scope)) & 1 ? pick(a1, extent) - c1 : c1;
    if (kind == 2) return interleave(c1, c2, c3);
    if (kind == 5) return scatter(place, start);
    if (kind == 4) {
        int bits = depth ? depth : MAX_DEPTH;
        return int64(cell[2]) << 2 * bits | int64(cell[1]) << bits | cell[0];
    }
    int largest = max(max(scope[0], scope[1]), scope[2]);
    int bits = largest > 0 ? 32 - __clz(largest) : 0;
    return hilbert(c1, c2, c3, depth ? depth : min(bits, MAX_DEPTH));
}

// Bitonic sort of words in shared memory, by their index too where it is not in the word.
// Exchanges within 64 places stay within a warp, which always has the same ones.
template <bool WITH_INDEX>
__device__ void sort_block(word* key, uint16* index) {
    for (int size = 2; size <= POINTS; size *= 2) {
        for (int stride = size / 2; stride; stride /= 2) {
            if (stride > 32 || (stride == 32 && size > 64)) __syncthreads(); else __syncwarp();
            for (int pair = threadIdx.x; pair < POINTS / 2; pair += THREADS) {
                int i = 2 * pair - (pair & (stride - 1));
                int j = i + stride;
                word a = key[i], b = key[j];
                bool more = a > b;
                uint16 ia = 0, ib = 0;
                if (WITH_INDEX) {
                    ia = index[i];
                    ib = index[j];
                    more = a > b || (a == b && ia > ib);
                }
                if (more == ((i & size) == 0)) {
                    key[i] = b;
                    key[j] = a;
                    if (WITH_INDEX) {
                        index[i] = ib;
                        index[j] = ia;
                    }
                }
            }
        }
    }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS) serialize(
    const coord* xyz, const int64* offsets, const int* scope_ptr,
    int64* code_ptr, int64* perm_ptr, int64* inverse_ptr,
    int points, int64 total, int64 orders, float size, int depth, int64 start
) {
    __shared__ word key[POINTS];
    __shared__ uint16 index[POINTS];
    Cloud cloud;
    read_cloud(cloud, xyz, offsets, blockIdx.x, points, size, depth);
    int order = int(orders >> 6 * blockIdx.y & 63);
    int64 base = int64(blockIdx.y) * total + cloud.first;
    int extent[3], scope[3];
    bool cube = size == 0.f;
    #pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        extent[axis] = cell_of(cloud, cloud.high[axis], axis, cube);
        scope[axis] = scope_ptr ? scope_ptr[axis] : extent[axis];
    }
    word all = 0;
    #pragma unroll
    for (int k = 0; k < EACH; k++) {
        int place = k * THREADS + threadIdx.x;
        word code = LAST;
        if (place < cloud.length) {
            int cell[3];
            #pragma unroll
            for (int axis = 0; axis < 3; axis++)
                cell[axis] = cell_of(cloud, cloud.value[k][axis], axis, cube);
            code = word(encode(cell, extent, scope, place, order, depth, word(start)));
            code_ptr[base + place] = int64(code);
            all |= code;
        }
        key[place] = code;
        index[place] = uint16(place);
    }
    if (__syncthreads_or(all >> (63 - INDEX_BITS) != 0)) {
        sort_block<true>(key, index);
    } else {
        for (int place = threadIdx.x; place < cloud.length; place += THREADS)
            key[place] = key[place] << INDEX_BITS | place;
        __syncthreads();
        sort_block<false>(key, index);
        for (int place = threadIdx.x; place < cloud.length; place += THREADS)
            index[place] = uint16(key[place] & ((1 << INDEX_BITS) - 1));
    }
    for (int place = threadIdx.x; place < cloud.length; place += THREADS) {
        int point = index[place];
        perm_ptr[base + place] = point;
        inverse_ptr[base + point] = place;
    }
}

// Largest cells of the whole batch, into three zeros.
extern "C" __global__ void __launch_bounds__(THREADS) serialize_scope(
    const coord* xyz, const int64* offsets, int* scope, int points, float size, int depth
) {
    Cloud cloud;
    read_cloud(cloud, xyz, offsets, blockIdx.x, points, size, depth);
    #pragma unroll
    for (int axis = 0; axis < 3; axis++)
        if (threadIdx.x == axis && cloud.length > 0)
            atomicMax(scope + axis, cell_of(cloud, cloud.high[axis], axis, size == 0.f));
}
