// Farthest points of one cloud by a cluster of SPREAD blocks: each thread keeps OWN points and their
// distances in registers. A step finds the farthest point of each warp, of each block, and tells
// every block of the cluster; slots change sides each step, so that one barrier a step is enough.

#define WHOLE 0xffffffffu
#define WARPS (THREADS / 32)
#define FAR 1e10f
#define NOBODY 0x7fffffff

struct Farthest { int bits; int who; float x, y, z; };

__device__ __forceinline__ float distance2(float dx, float dy, float dz) {
    float xy = __fadd_rn(__fmul_rn(dx, dx), __fmul_rn(dy, dy));
    return __fadd_rn(xy, __fmul_rn(dz, dz));
}

__device__ __forceinline__ uint32 block_rank() {
    uint32 rank;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ __forceinline__ void tell(Farthest* slot, uint32 block, const Farthest& f) {
    uint32 here = uint32(__cvta_generic_to_shared(slot)), there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(block));
    asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(there), "r"(f.bits) : "memory");
    asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(there + 4), "r"(f.who) : "memory");
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there + 8), "f"(f.x) : "memory");
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there + 12), "f"(f.y) : "memory");
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(there + 16), "f"(f.z) : "memory");
}

__device__ __forceinline__ void cluster_barrier() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// The farthest over the lanes, of equals the one with the lowest index; every lane gets it.
__device__ __forceinline__ Farthest farthest_of_warp(Farthest f) {
    const int bits = __reduce_max_sync(WHOLE, f.bits);
    const int who = __reduce_min_sync(WHOLE, f.bits == bits ? f.who : NOBODY);
    const uint32 mine = __ballot_sync(WHOLE, f.bits == bits && f.who == who);
    const int lane = __ffs(mine) - 1;
    Farthest best = {bits, who, __shfl_sync(WHOLE, f.x, lane), __shfl_sync(WHOLE, f.y, lane),
                     __shfl_sync(WHOLE, f.z, lane)};
    return best;
}

extern "C" __global__ void __cluster_dims__(SPREAD, 1, 1) __launch_bounds__(THREADS, 1)
farthest_point_sample(const float* xyz, const int64* offsets, const int64* start,
                      const int64* sample_offsets, int64* sample) {
    __shared__ Farthest of_warp[WARPS];
    __shared__ Farthest of_block[2][SPREAD];
    const int rank = int(block_rank()), lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int64 cloud = blockIdx.x / SPREAD;
    const int64 low = offsets[cloud], first = sample_offsets[cloud];
    const int length = int(offsets[cloud + 1] - low);
    const int wanted = int(sample_offsets[cloud + 1] - first);
    const int count = min(wanted, length);
    const bool writes = rank == 0 && threadIdx.x == 0;
    if (rank == 0)
        for (int m = count + threadIdx.x; m < wanted; m += THREADS) sample[first + m] = -1;
    if (count == 0) return;  // the whole cluster
    float x[OWN], y[OWN], z[OWN], nearest[OWN];
#pragma unroll
    for (int j = 0; j < OWN; ++j) {
        const int n = (j * SPREAD + rank) * THREADS + int(threadIdx.x);
        const float* p = xyz + 3 * (low + (n < length ? n : 0));
        x[j] = p[0], y[j] = p[1], z[j] = p[2];
        nearest[j] = n < length ? __int_as_float(0x7f800000) : -1.f;
    }
    int last = int(start[cloud]);
    const float* p = xyz + 3 * (low + last);
    float lx = p[0], ly = p[1], lz = p[2];
    for (int m = 0;; ++m) {
        if (writes) sample[first + m] = last;
        if (m + 1 == count) break;
        Farthest f = {-1, NOBODY, 0.f, 0.f, 0.f};
#pragma unroll
        for (int j = 0; j < OWN; ++j) {
            nearest[j] = fminf(nearest[j], distance2(x[j] - lx, y[j] - ly, z[j] - lz));
            // The sign of a missing point's -1 keeps it below every distance.
            const int bits = __float_as_int(nearest[j]);
            if (bits > f.bits) {
                f.bits = bits, f.who = (j * SPREAD + rank) * THREADS + int(threadIdx.x);
                f.x = x[j], f.y = y[j], f.z = z[j];
            }
        }
        f = farthest_of_warp(f);
        if (lane == 0) of_warp[warp] = f;
        __syncthreads();
        if (warp == 0) {
            Farthest none = {-1, NOBODY, 0.f, 0.f, 0.f};
            f = farthest_of_warp(lane < WARPS ? of_warp[lane] : none);
            if (lane < SPREAD) tell(&of_block[m & 1][rank], lane, f);
        }
        cluster_barrier();
        Farthest none = {-1, NOBODY, 0.f, 0.f, 0.f};
        f = farthest_of_warp(lane < SPREAD ? of_block[m & 1][lane] : none);
        last = f.who, lx = f.x, ly = f.y, lz = f.z;
    }
}
