// Sums over parts of up to two branches, in a fixed order, to up to three tensors of a branch.

extern "C" __global__ void __launch_bounds__(256) sum_parts(
    const float* partial, float* first, float* second, float* third,
    float* other_first, float* other_second, float* other_third,
    int64 parts, int64 end_first, int64 end_second, int64 columns
) {
    __shared__ float sums[8][32];
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32;
    const int64 column = int64(blockIdx.x) * 32 + lane;
    partial += blockIdx.y * parts * columns + column;
    float sum = 0.f;
    if (column < columns) {
#pragma unroll 8
        for (int64 i = row; i < parts; i += 8) sum += partial[i * columns];
    }
    sums[row][lane] = sum;
    __syncthreads();
    if (row || column >= columns) return;
    for (int i = 1; i < 8; ++i) sum += sums[i][lane];
    if (blockIdx.y) first = other_first, second = other_second, third = other_third;
    if (column < end_first)
        first[column] = sum;
    else if (column < end_second)
        second[column - end_first] = sum;
    else
        third[column - end_second] = sum;
}
