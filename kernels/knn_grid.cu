// The k nearest points through a grid of cubic cells over each cloud: support is sorted by cell, a
// warp answers a query and looks at the 3 x 3 x 3 cells around it, then at shell after shell, until
// no point outside can be nearer. Exact: bounds carry a margin far above their rounding.

#define WHOLE 0xffffffffu
#define NOTHING 0x7fffffffu
#define MARGIN 1e-3f  // of a cell

__device__ __forceinline__ uint32 distance_bits(float dx, float dy, float dz) {
    float xy = __fadd_rn(__fmul_rn(dx, dx), __fmul_rn(dy, dy));
    return __float_as_uint(__fadd_rn(xy, __fmul_rn(dz, dz)));
}

struct Frame { float x, y, z, scale; };

// Corner of the cloud's box and cells per unit length, the same for every axis.
__device__ __forceinline__ Frame frame_of(const float* box, int64 cloud, int side) {
    const float* b = box + 6 * cloud;
    float extent = fmaxf(fmaxf(b[3] - b[0], b[4] - b[1]), b[5] - b[2]);
    Frame frame = {b[0], b[1], b[2], extent > 0.f ? float(side) / extent : 0.f};
    return frame;
}

__device__ __forceinline__ int cell_of(float place, int side) {
    // A NaN becomes cell 0.
    return min(max(int(floorf(place)), 0), side - 1);
}

// Cell of every point, as a key that sorts by cloud first.
extern "C" __global__ void __launch_bounds__(256)
cells(const float* xyz, const int64* cloud, const float* box, int* cell, int64 points, int side) {
    const int64 row = int64(blockIdx.x) * 256 + threadIdx.x;
    if (row >= points) return;
    const int64 own = cloud[row];
    const Frame f = frame_of(box, own, side);
    const int x = cell_of((xyz[3 * row] - f.x) * f.scale, side);
    const int y = cell_of((xyz[3 * row + 1] - f.y) * f.scale, side);
    const int z = cell_of((xyz[3 * row + 2] - f.z) * f.scale, side);
    cell[row] = ((int(own) * side + z) * side + y) * side + x;
}

// Points in the order of their cells, each with its index inside the cloud.
extern "C" __global__ void __launch_bounds__(256)
arrange(const float* xyz, const int64* order, const int64* cloud, const int64* offsets,
        float4* arranged, int64 points) {
    const int64 row = int64(blockIdx.x) * 256 + threadIdx.x;
    if (row >= points) return;
    const int64 source = order[row];
    const int index = int(source - offsets[cloud[source]]);
    const float* p = xyz + 3 * source;
    arranged[row] = make_float4(p[0], p[1], p[2], __int_as_float(index));
}

struct Best { uint32 bits; int who; uint32 worst; int worst_who; };

__device__ __forceinline__ bool before(uint32 bits, int who, uint32 other, int other_who) {
    return bits < other || (bits == other && who < other_who);
}

// Let the points of one run of cells compete.
__device__ __forceinline__ void compete(
    const float4* arranged, int first, int last, float px, float py, float pz, int k, Best& b) {
    const int lane = threadIdx.x & 31;
    for (int begin = first; begin < last; begin += 32) {
        uint32 bits = NOTHING;
        int who = NOTHING;
        if (begin + lane < last) {
            const float4 p = arranged[begin + lane];
            bits = distance_bits(px - p.x, py - p.y, pz - p.z);
            who = __float_as_int(p.w);
        }
        uint32 closer = __ballot_sync(WHOLE, before(bits, who, b.worst, b.worst_who));
        while (closer) {
            const int from = __ffs(closer) - 1;
            closer &= closer - 1;
            const uint32 candidate = __shfl_sync(WHOLE, bits, from);
            const int candidate_who = __shfl_sync(WHOLE, who, from);
            if (!before(candidate, candidate_who, b.worst, b.worst_who)) continue;
            const uint32 left = __shfl_up_sync(WHOLE, b.bits, 1);
            const int left_who = __shfl_up_sync(WHOLE, b.who, 1);
            if (before(candidate, candidate_who, b.bits, b.who)) {
                const bool moves = lane > 0 && before(candidate, candidate_who, left, left_who);
                b.bits = moves ? left : candidate;
                b.who = moves ? left_who : candidate_who;
            }
            b.worst = __shfl_sync(WHOLE, b.bits, k - 1);
            b.worst_who = __shfl_sync(WHOLE, b.who, k - 1);
        }
    }
}

// Distance, in cells, from the query to the nearest cell outside the cube of radius r around (x,
// y, z); a side where the grid has ended has nothing outside.
__device__ __forceinline__ float reach(
    float qx, float qy, float qz, int x, int y, int z, int r, int side) {
    float least = 3e38f;
    if (x - r > 0) least = fminf(least, qx - (x - r));
    if (y - r > 0) least = fminf(least, qy - (y - r));
    if (z - r > 0) least = fminf(least, qz - (z - r));
    if (x + r < side - 1) least = fminf(least, (x + r + 1) - qx);
    if (y + r < side - 1) least = fminf(least, (y + r + 1) - qy);
    if (z + r < side - 1) least = fminf(least, (z + r + 1) - qz);
    return least - MARGIN;
}

extern "C" __global__ void __launch_bounds__(THREADS)
search(const float* query, const int64* order, const int64* cloud, const float* box,
       const float4* arranged, const int* start, int64* idx, float* dist2,
       int64 queries, int k, int side) {
    const int lane = threadIdx.x & 31;
    const int64 place = int64(blockIdx.x) * (THREADS / 32) + (threadIdx.x >> 5);
    if (place >= queries) return;
    const int64 row = order[place];
    const int64 own = cloud[row];
    const float px = query[3 * row], py = query[3 * row + 1], pz = query[3 * row + 2];
    const Frame f = frame_of(box, own, side);
    const float qx = (px - f.x) * f.scale, qy = (py - f.y) * f.scale, qz = (pz - f.z) * f.scale;
    const int x = cell_of(qx, side), y = cell_of(qy, side), z = cell_of(qz, side);
    const int* cell = start + int64(own) * side * side * side;
    Best b = {NOTHING, int(NOTHING), NOTHING, int(NOTHING)};
    for (int r = 1; r <= side; ++r) {
        // Rows of cells along x: whole ones on the faces of the shell, the two ends of inner ones.
        const int across = 2 * r + 1, rows = across * across;
        for (int base = 0; base < 2 * rows; base += 32) {
            const int item = base + lane, pair = item >> 1;
            const int ry = pair % across - r, rz = pair / across - r;
            const int cy = y + ry, cz = z + rz;
            const bool whole = r == 1 || ry == -r || ry == r || rz == -r || rz == r;
            int left = x - r, right = x + r;
            if (!whole && (item & 1)) left = right;
            else if (!whole) right = left;
            const bool used = item < 2 * rows && (!whole || !(item & 1)) && cy >= 0 && cy < side &&
                              cz >= 0 && cz < side && right >= 0 && left < side;
            int first = 0, last = 0;
            if (used) {
                const int line = (cz * side + cy) * side;
                first = cell[line + max(left, 0)];
                last = cell[line + min(right, side - 1) + 1];
            }
            uint32 runs = __ballot_sync(WHOLE, last > first);
            while (runs) {
                const int from = __ffs(runs) - 1;
                runs &= runs - 1;
                const int head = __shfl_sync(WHOLE, first, from);
                const int tail = __shfl_sync(WHOLE, last, from);
                compete(arranged, head, tail, px, py, pz, k, b);
            }
        }
        const float bound = reach(qx, qy, qz, x, y, z, r, side);
        if (bound > 1e38f) break;
        if (bound > 0.f && b.worst != NOTHING) {
            const float away = bound / f.scale;
            if (__uint_as_float(b.worst) < away * away * 0.99999f) break;
        }
    }
    if (lane < k) {
        idx[row * k + lane] = b.bits == NOTHING ? -1 : b.who;
        dist2[row * k + lane] = b.bits == NOTHING ? 0.f : __uint_as_float(b.bits);
    }
}
