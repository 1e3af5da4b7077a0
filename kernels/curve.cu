// Where each point of ragged clouds lies along a curve: a 32-bit key, the cloud above a Morton code
// of BITS an axis within the cloud's bounds. Only the speed of what searches the sorted points
// depends on it, so rounding is free here.

// An integer that orders as the float does.
__device__ __forceinline__ int ordered(float v) {
    const int bits = __float_as_int(v);
    return bits < 0 ? bits ^ 0x7fffffff : bits;
}

__device__ __forceinline__ float from_ordered(int v) { return __int_as_float(v < 0 ? v ^ 0x7fffffff : v); }

// Last cloud that starts at or before `row`.
__device__ __forceinline__ int cloud_of(const int64* offsets, int clouds, int64 row) {
    int low = 0, high = clouds - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (offsets[middle] <= row) low = middle; else high = middle - 1;
    }
    return low;
}

// bounds (B, 6): lowest x, y, z and highest, as `ordered`; set before to the largest and the
// smallest integer. Integer minima come in any order to the same result.
extern "C" __global__ void cloud_bounds(
    const float* __restrict__ xyz, const int64* __restrict__ offsets, int* bounds,
    int clouds, int64 rows
) {
    const int lane = threadIdx.x % 32;
    const int64 stride = int64(gridDim.x) * blockDim.x;
    // Whole warps stay in the loop together: all of a warp's rows may lie in one cloud.
    for (int64 base = int64(blockIdx.x) * blockDim.x + threadIdx.x - lane; base < rows; base += stride) {
        const int64 row = min(base + lane, rows - 1);
        const int cloud = cloud_of(offsets, clouds, row);
        const bool alike = __all_sync(0xffffffffu, cloud == __shfl_sync(0xffffffffu, cloud, 0));
#pragma unroll
        for (int a = 0; a < 3; ++a) {
            const int v = ordered(xyz[3 * row + a]);
            const int least = alike ? __reduce_min_sync(0xffffffffu, v) : v;
            const int most = alike ? __reduce_max_sync(0xffffffffu, v) : v;
            if (!alike || lane == 0) {
                atomicMin(bounds + 6 * cloud + a, least);
                atomicMax(bounds + 6 * cloud + 3 + a, most);
            }
        }
    }
}

// Every third bit of the ten.
__device__ __forceinline__ int spread(int v) {
    v = (v | v << 16) & 0x030000ff;
    v = (v | v << 8) & 0x0300f00f;
    v = (v | v << 4) & 0x030c30c3;
    return (v | v << 2) & 0x09249249;
}

extern "C" __global__ void curve_keys(
    const float* __restrict__ xyz, const int64* __restrict__ offsets,
    const int* __restrict__ bounds, int* __restrict__ keys, int clouds, int64 rows, int bits
) {
    const int64 row = int64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const int cloud = cloud_of(offsets, clouds, row);
    float extent = 0.f;
    for (int a = 0; a < 3; ++a)
        extent = fmaxf(extent, from_ordered(bounds[6 * cloud + 3 + a]) - from_ordered(bounds[6 * cloud + a]));
    const float cells = float(1 << bits);
    const float scale = extent > 0.f ? cells / extent : 0.f;
    int key = 0;
    for (int a = 0; a < 3; ++a) {
        const float place = (xyz[3 * row + a] - from_ordered(bounds[6 * cloud + a])) * scale;
        key |= spread(int(fminf(fmaxf(place, 0.f), cells - 1.f))) << a;
    }
    keys[row] = cloud << (3 * bits) | key;
}
