// The k nearest of all points of the cloud: a warp a query, lane l keeps the l-th best so far.
// Distances are compared as bits, which order like the numbers since none is negative; the lower
// index comes first of equals, since points arrive in rising order and only a smaller one passes.

#define WHOLE 0xffffffffu
#define NOTHING 0x7fffffffu

__device__ __forceinline__ uint32 distance_bits(float dx, float dy, float dz) {
    // Products and sums rounded one by one, as everywhere.
    float xy = __fadd_rn(__fmul_rn(dx, dx), __fmul_rn(dy, dy));
    return __float_as_uint(__fadd_rn(xy, __fmul_rn(dz, dz)));
}

extern "C" __global__ void __launch_bounds__(THREADS)
knn(const float* query, const float* support, const int64* cloud, const int64* offsets,
    int64* idx, float* dist2, int64 queries, int k) {
    const int lane = threadIdx.x & 31;
    const int64 row = int64(blockIdx.x) * (THREADS / 32) + (threadIdx.x >> 5);
    if (row >= queries) return;
    const int64 low = offsets[cloud[row]];
    const int length = int(offsets[cloud[row] + 1] - low);
    const float px = query[3 * row], py = query[3 * row + 1], pz = query[3 * row + 2];
    const float* point = support + 3 * low;
    uint32 best = NOTHING, worst = NOTHING;
    int who = -1;
    for (int begin = 0; begin < length; begin += 32) {
        const int n = begin + lane;
        uint32 bits = NOTHING;
        if (n < length) {
            const float* p = point + 3 * int64(n);
            bits = distance_bits(px - p[0], py - p[1], pz - p[2]);
        }
        uint32 closer = __ballot_sync(WHOLE, bits < worst);
        while (closer) {
            const int from = __ffs(closer) - 1;
            closer &= closer - 1;
            const uint32 candidate = __shfl_sync(WHOLE, bits, from);
            if (candidate >= worst) continue;
            const uint32 left = __shfl_up_sync(WHOLE, best, 1);
            const int left_who = __shfl_up_sync(WHOLE, who, 1);
            if (best > candidate) {
                const bool moves = lane > 0 && left > candidate;
                best = moves ? left : candidate;
                who = moves ? left_who : begin + from;
            }
            worst = __shfl_sync(WHOLE, best, k - 1);
        }
    }
    if (lane < k) {
        idx[row * k + lane] = best == NOTHING ? -1 : who;
        dist2[row * k + lane] = best == NOTHING ? 0.f : __uint_as_float(best);
    }
}
