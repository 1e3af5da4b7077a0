// Gradients of B and C from their partials, one for each block of channels, added in order.

extern "C" __global__ void __launch_bounds__(256) selective_scan_sum(
    const float* partials, B_TYPE* dB, C_TYPE* dC, B_TYPE* dB_second, C_TYPE* dC_second,
    int64 blocks, int64 total, int64 size
) {
    const int64 place = int64(blockIdx.x) * 256 + threadIdx.x, rows = total * (WIDE / 4);
    if (place >= rows) return;
    const float4* partial = (const float4*)partials + blockIdx.y * blocks * rows + place;
    float4 sum = {};
#pragma unroll 8
    for (int64 i = 0; i < blocks; ++i) {
        float4 v = partial[i * rows];
        sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
    }
    const float value[4] = {sum.x, sum.y, sum.z, sum.w};
    const int64 row = place / (WIDE / 4), first = place % (WIDE / 4) * 4;
    for (int n = 0; n < 4 && first + n < size; ++n) {
        const int64 at = row * size + first + n;
        if (blockIdx.y & 1)
            store(blockIdx.y & 2 ? dC_second : dC, at, value[n]);
        else
            store(blockIdx.y & 2 ? dB_second : dB, at, value[n]);
    }
}
