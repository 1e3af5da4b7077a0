// Backward pass of the selective scan, of up to two branches in one launch.
//
// A block walks the tiles of its part from the last to the first. Of each it scans the states again
// from the one kept before the tile, holding decays and states in registers, and walks back with the
// adjoint g_t = C_t dy_t + s, s = a_{t+1} g_{t+1}. Sums over channels, for B and C, are made by
// products with ones on the tensor cores, then over warps, and leave one partial for each block of
// channels. GATE 1 forms y again for the gradient of the gate; GATE 2 is given it, up to two summands.

#include "_scan.cuh"

constexpr int SLICES = 8 * THREADS / 32 / LANES;  // sums over channels a block is left with
constexpr int SUM_ROUNDS = (STEPS * WIDE / 2 + THREADS - 1) / THREADS;
constexpr int STEP_PITCH = 2 * WIDE + 8;          // of those, so that two steps meet no bank twice

struct Branch {
    const GRAD_TYPE* grad;
    const U_TYPE* u;
    const DELTA_TYPE* delta;
    const float* A;
    const B_TYPE* B;
    const C_TYPE* C;
    const float *D, *bias;
    const Z_TYPE* gate;
    const U_TYPE *y, *y_second;
    const float *states, *grad_last;
    U_TYPE* du;
    DELTA_TYPE* ddelta;
    Z_TYPE* dgate;
    float *parameters, *dB, *dC, *dinitial;  // of A, D and bias one after another, for each part
    int64 stride_grad, stride_u, stride_delta, stride_B, stride_C, stride_gate, reverse;
};

struct Scan {
    Branch branch[BRANCHES];
    const int64 *perm, *offsets;
    int64 sequences, total, width, size, segment;
};

// What a thread brings in for one tile, as it lies in memory.
struct Incoming {
    Pack<GRAD_TYPE, VECTOR> grad[ROUNDS];
    Pack<U_TYPE, VECTOR> u[ROUNDS];
    Pack<DELTA_TYPE, VECTOR> delta[ROUNDS];
    Pack<Z_TYPE, VECTOR> gate[ROUNDS];
    Pack<U_TYPE, VECTOR> y[ROUNDS], y_second[ROUNDS];
    Pack<B_TYPE, WEIGHT_VECTOR> B[WEIGHT_ROUNDS];
    Pack<C_TYPE, WEIGHT_VECTOR> C[WEIGHT_ROUNDS];
};

__device__ __forceinline__ Rows rows_of(const Part& part, const Branch& own, int tile) {
    return Rows(part, own.reverse, part.begin + tile * STEPS, false, part.count - tile * STEPS);
}

// Where those come from.
struct Sources {
    Column<GRAD_TYPE> grad;
    Column<U_TYPE> u;
    Column<DELTA_TYPE> delta;
    Column<Z_TYPE> gate;
    Column<U_TYPE> y, y_second;
    Column<B_TYPE> B;
    Column<C_TYPE> C;
    bool inside, has_y, has_second;

    __device__ __forceinline__ Sources(const Branch& own, int64 start, int64 column, int64 width)
        : grad(own.grad, start, own.stride_grad, column),
          u(own.u, start, own.stride_u, column),
          delta(own.delta, start, own.stride_delta, column),
          gate(own.gate, start, own.stride_gate, column),
          y(own.y, start, width, column),
          y_second(own.y_second, start, width, column),
          B(own.B, start, own.stride_B, 0),
          C(own.C, start, own.stride_C, 0),
          inside(column < width),
          has_y(own.y),
          has_second(own.y_second) {}
};

__device__ __forceinline__ void fetch(
    Incoming& in, const Sources& from, const Scan& scan, const Rows& rows, int64 start,
    const Place& at
) {
#pragma unroll
    for (int j = 0; j < ROUNDS; ++j) {
        int i = at.round + j * DOWN, row = rows.row(i, scan.perm, start);
        bool inside = i < rows.left && from.inside;
        in.grad[j] = from.grad.read<VECTOR>(row, inside);
        in.u[j] = from.u.read<VECTOR>(row, inside);
        in.delta[j] = from.delta.read<VECTOR>(row, inside);
#if GATE
        in.gate[j] = from.gate.read<VECTOR>(row, inside);
#endif
#if GATE == 2
        in.y[j] = from.y.read<VECTOR>(row, inside && from.has_y);
        in.y_second[j] = from.y_second.read<VECTOR>(row, inside && from.has_second);
#endif
    }
#pragma unroll
    for (int j = 0; j < WEIGHT_ROUNDS; ++j) {
        int place = threadIdx.x + j * THREADS, i = place / WEIGHT_ACROSS;
        int n = place % WEIGHT_ACROSS * WEIGHT_VECTOR, row = rows.row(i, scan.perm, start);
        bool inside = i < rows.left && i < STEPS && n < scan.size;
        in.B[j] = from.B.right(n).read<WEIGHT_VECTOR>(row, inside);
        in.C[j] = from.C.right(n).read<WEIGHT_VECTOR>(row, inside);
    }
}

__device__ __forceinline__ void read_kept(
    float (&h)[OWN], const Branch& own, const Scan& scan, const Part& part, int64 d, int first,
    int step
) {
    const int64 kept = part.checkpoint(part.begin + step);
#pragma unroll
    for (int n = 0; n < OWN; n += 4) {
        float4 four = {};
        if (d < scan.width && step >= 0 && step < part.count)
            four = *(const float4*)(own.states + (kept * scan.width + d) * WIDE + first + n);
        h[n] = four.x, h[n + 1] = four.y, h[n + 2] = four.z, h[n + 3] = four.w;
    }
}

// Add v over the four lanes of each quad. Lane j of a quad receives the sums of the call whose
// `even` and `odd` are 1 in the lanes of group 2j and 2j + 1.
__device__ __forceinline__ void add_over_quads(
    float (&sum)[4], const float (&v)[4], float even, float odd
) {
#if EXACT  // tensor cores read the upper 10 bits of a fraction: give them the rest apart
    float upper[4], rest[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        upper[i] = __uint_as_float(__float_as_uint(v[i]) & 0xffffe000u);
        rest[i] = v[i] - upper[i];
    }
    matrix_product(sum, upper, even, odd);
    matrix_product(sum, rest, even, odd);
#else
    matrix_product(sum, v, even, odd);
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
selective_scan_bwd(const __grid_constant__ Scan scan) {
    __shared__ float4 steps[STEPS * CHANNELS];  // step size, times u, gradient of y, slope
    __shared__ float inputs[STEPS * CHANNELS];
    __shared__ __align__(16) float weights_B[STEPS * WIDE], weights_C[STEPS * WIDE];
    __shared__ float sums_delta[STEPS * PITCH], sums_u[STEPS * PITCH];
    __shared__ __align__(16) float slices[SLICES * STEPS * STEP_PITCH];
#if GATE == 1
    __shared__ float sums_y[STEPS * PITCH], dsilu[STEPS * CHANNELS];
#endif
    const Branch& own = scan.branch[blockIdx.y];
    const int64 blocks = (scan.width + CHANNELS - 1) / CHANNELS;
    const int64 slot = blockIdx.x / blocks, block = blockIdx.x % blocks;
    const Part part(scan.offsets, scan.sequences, scan.segment, slot);
    const Place at;
    const int64 d = block * CHANNELS + at.channel, column = block * CHANNELS + at.column;
    const int states = at.k * OWN;
    float A2[OWN], s[OWN], dA[OWN] = {};
    read_rates(A2, own.A, d, states, scan.width, scan.size);
    read_states(
        s, own.grad_last, scan.segment ? slot : part.sequence, d, states, scan.width, scan.size
    );
    float bias[VECTOR], skip[VECTOR], dD[VECTOR] = {}, dbias[VECTOR] = {};
    for (int m = 0; m < VECTOR; ++m) {
        bool inside = column + m < scan.width;
        bias[m] = own.bias && inside ? own.bias[column + m] : 0.f;
        skip[m] = own.D && inside ? own.D[column + m] : 0.f;
    }
    float unit[8];
    for (int i = 0; i < 8; ++i) unit[i] = at.group == i ? 1.f : 0.f;

    Incoming in;
    const Sources from(own, part.start, column, scan.width);
    const Column<U_TYPE> to_u(own.du, part.start, scan.width, column);
    const Column<DELTA_TYPE> to_delta(own.ddelta, part.start, scan.width, column);
    const Column<Z_TYPE> to_gate(own.dgate, part.start, scan.width, column);
    const int tiles = (part.count + STEPS - 1) / STEPS;
    if (tiles) fetch(in, from, scan, rows_of(part, own, tiles - 1), part.start, at);
    float before[OWN];  // the state kept before the steps whose turn is next
    read_kept(before, own, scan, part, d, states, tiles * STEPS - KEEP);
    for (int tile = tiles - 1; tile >= 0; --tile) {
        const Rows rows = rows_of(part, own, tile);
#pragma unroll
        for (int j = 0; j < ROUNDS; ++j) {
            int i = at.round + j * DOWN;
#if GATE == 2
            Outgoing<Z_TYPE, VECTOR> dgate;
#endif
#pragma unroll
            for (int m = 0; m < VECTOR; ++m) {
                int place = i * CHANNELS + at.column + m;
                float slope, dt = step_size(element(in.delta[j], m) + bias[m], slope);
                dt = i < rows.left ? dt : 0.f;
                float u = element(in.u[j], m), dy = element(in.grad[j], m);
#if GATE
                float z = element(in.gate[j], m), open = sigmoid(z);
                float turn = dy * open * (1.f + z * (1.f - open));
                dy *= z * open;
#endif
#if GATE == 1
                dsilu[place] = turn;
#elif GATE == 2
                store(dgate.v, m, turn * (element(in.y[j], m) + element(in.y_second[j], m)));
#endif
                steps[place] = {dt, dt * u, dy, slope};
                inputs[place] = u;
            }
#if GATE == 2
            if (own.dgate && i < rows.left && column < scan.width)
                to_gate.write(rows.row(i, scan.perm, part.start), dgate);
#endif
        }
#pragma unroll
        for (int j = 0; j < WEIGHT_ROUNDS; ++j) {
            int place = (threadIdx.x + j * THREADS) * WEIGHT_VECTOR;
            if (place >= STEPS * WIDE) break;
#pragma unroll
            for (int m = 0; m < WEIGHT_VECTOR; ++m) {
                weights_B[place + m] = element(in.B[j], m);
                weights_C[place + m] = element(in.C[j], m);
            }
        }
        __syncthreads();
#pragma unroll
        for (int base = STEPS - KEEP; base >= 0; base -= KEEP) {
            float h[KEEP + 1][OWN], a[KEEP][OWN];
#pragma unroll
            for (int n = 0; n < OWN; ++n) h[0][n] = before[n];
            read_kept(before, own, scan, part, d, states, tile * STEPS + base - KEEP);
#pragma unroll
            for (int t = 0; t < KEEP; ++t) {
                float2 step = *(const float2*)(steps + (base + t) * CHANNELS + at.channel);
#pragma unroll
                for (int n = 0; n < OWN; n += 4) {
                    float4 b4 = *(const float4*)(weights_B + (base + t) * WIDE + states + n);
                    float b[4] = {b4.x, b4.y, b4.z, b4.w};
#pragma unroll
                    for (int m = n; m < n + 4; ++m) {
                        a[t][m] = exp2_fast(step.x * A2[m]);
                        h[t + 1][m] = a[t][m] * h[t][m] + step.y * b[m - n];
                    }
                }
            }
            float over_quads[OWN / 4][4];
            float for_delta[4], for_u[4];
#if GATE == 1
            float for_y[4];
#endif
#pragma unroll
            for (int t = KEEP - 1; t >= 0; --t) {
                if (base == 0 && t == KEEP / 2 - 1 && tile)
                    fetch(in, from, scan, rows_of(part, own, tile - 1), part.start, at);
                float4 step = steps[(base + t) * CHANNELS + at.channel];
                float dt = step.x, dtu = step.y, dy = step.z;
                float by_delta = 0.f, by_u = 0.f;
#if GATE == 1
                float y = 0.f;
#endif
#pragma unroll
                for (int n = 0; n < OWN; n += 4) {
                    int place = (base + t) * WIDE + states + n;
                    float4 b4 = *(const float4*)(weights_B + place);
                    float4 c4 = *(const float4*)(weights_C + place);
                    float b[4] = {b4.x, b4.y, b4.z, b4.w}, c[4] = {c4.x, c4.y, c4.z, c4.w};
                    float dB[4], dC[4];
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        int m = n + i;
                        float g = c[i] * dy + s[m];
                        s[m] = a[t][m] * g;
                        float gp = s[m] * h[t][m];
                        by_delta += A2[m] * gp;
                        dA[m] += dt * gp;
                        by_u += b[i] * g;
                        dB[i] = dtu * g;
                        dC[i] = dy * h[t + 1][m];
#if GATE == 1
                        y += c[i] * h[t + 1][m];
#endif
                    }
                    float (&sum)[4] = over_quads[n / 4];
                    if (t & 1) sum[0] = sum[1] = sum[2] = sum[3] = 0.f;
                    add_over_quads(sum, dB, unit[(t & 1) * 4], unit[(t & 1) * 4 + 1]);
                    add_over_quads(sum, dC, unit[(t & 1) * 4 + 2], unit[(t & 1) * 4 + 3]);
                    if (!(t & 1)) {
                        int slice = (threadIdx.x >> 5) * (8 / LANES) + at.half;
                        int row = slice * STEPS + base + t + (at.quad >> 1);
                        float* out = slices + row * STEP_PITCH + (at.quad & 1) * WIDE + states + n;
                        *(float4*)out = {sum[0], sum[1], sum[2], sum[3]};
                    }
                }
                for_delta[t & 3] = by_delta, for_u[t & 3] = by_u;
#if GATE == 1
                for_y[t & 3] = y;
#endif
                if (t % 4 == 0) {
                    put_sums(sums_delta + (base + t) * PITCH, for_delta, at);
                    put_sums(sums_u + (base + t) * PITCH, for_u, at);
#if GATE == 1
                    put_sums(sums_y + (base + t) * PITCH, for_y, at);
#endif
                }
            }
        }
        __syncthreads();
#pragma unroll
        for (int j = 0; j < ROUNDS; ++j) {
            int i = at.round + j * DOWN;
            if (i >= rows.left || column >= scan.width) continue;
            Outgoing<U_TYPE, VECTOR> du;
            Outgoing<DELTA_TYPE, VECTOR> ddelta;
#if GATE == 1
            Outgoing<Z_TYPE, VECTOR> dgate;
#endif
#pragma unroll
            for (int m = 0; m < VECTOR; ++m) {
                int place = i * CHANNELS + at.column + m, sum = i * PITCH + at.column + m;
                float4 step = steps[place];
                float u = inputs[place], by_u = sums_u[sum];
                float slant = (LN2 * sums_delta[sum] + u * by_u) * step.w;
                store(du.v, m, step.x * by_u + skip[m] * step.z);
                store(ddelta.v, m, slant);
                dbias[m] += slant;
                dD[m] += u * step.z;
#if GATE == 1
                store(dgate.v, m, dsilu[place] * (sums_y[sum] + skip[m] * u));
#endif
            }
            const int row = rows.row(i, scan.perm, part.start);
            to_u.write(row, du);
            to_delta.write(row, ddelta);
#if GATE == 1
            to_gate.write(row, dgate);
#endif
        }
#pragma unroll
        for (int j = 0; j < SUM_ROUNDS; ++j) {
            int place = threadIdx.x + j * THREADS;
            if (place >= STEPS * WIDE / 2) break;
            int n = place % (WIDE / 2) * 4, i = place / (WIDE / 2);
            float4 sum = {};
#pragma unroll
            for (int slice = 0; slice < SLICES; ++slice) {
                float4 v = *(const float4*)(slices + (slice * STEPS + i) * STEP_PITCH + n);
                sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
            }
            int64 row = part.start + rows.row(i, scan.perm, part.start);
            float* out = (n < WIDE ? own.dB : own.dC) + (block * scan.total + row) * WIDE + n % WIDE;
            if (i < rows.left) store_four(out, sum.x, sum.y, sum.z, sum.w);
        }
    }
#if LOGARITHM
    for (int n = 0; n < OWN; ++n) dA[n] *= LN2 * A2[n];
#endif
    float* parameters = own.parameters + slot * scan.width * (scan.size + 2);
    write_states(dA, parameters, 0, d, states, scan.width, scan.size);
    if (own.dinitial && part.real && part.begin == 0)
        write_states(s, own.dinitial, part.sequence, d, states, scan.width, scan.size);
    __syncthreads();
    for (int m = 0; m < VECTOR; ++m) {
        sums_u[at.round * CHANNELS + at.column + m] = dD[m];
        sums_delta[at.round * CHANNELS + at.column + m] = dbias[m];
    }
    __syncthreads();
    const int64 last = block * CHANNELS + threadIdx.x;
    if (threadIdx.x < CHANNELS && last < scan.width) {
        float sum_D = 0.f, sum_bias = 0.f;
        for (int i = 0; i < DOWN; ++i) {
            sum_D += sums_u[i * CHANNELS + threadIdx.x];
            sum_bias += sums_delta[i * CHANNELS + threadIdx.x];
        }
        parameters[scan.width * scan.size + last] = sum_D;
        parameters[scan.width * (scan.size + 1) + last] = sum_bias;
    }
}
