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

__device__ __forceinline__ void read_weights(float (&out)[OWN], const float* weights) {
#pragma unroll
    for (int n = 0; n < OWN; n += 4) {
        float4 four = *(const float4*)(weights + n);
        out[n] = four.x, out[n + 1] = four.y, out[n + 2] = four.z, out[n + 3] = four.w;
    }
}

__device__ __forceinline__ void read_kept(
    float (&h)[MANY][OWN], const Branch& own, const Scan& scan, const Part& part, int64 channel,
    int first, int step
) {
    const int64 kept = part.checkpoint(part.begin + step);
#pragma unroll
    for (int c = 0; c < MANY; ++c) {
        int64 d = channel + c * APART;
#pragma unroll
        for (int n = 0; n < OWN; n += 4) {
            float4 four = {};
            if (d < scan.width && step >= 0 && step < part.count)
                four = *(const float4*)(own.states + (kept * scan.width + d) * WIDE + first + n);
            h[c][n] = four.x, h[c][n + 1] = four.y, h[c][n + 2] = four.z, h[c][n + 3] = four.w;
        }
    }
}

// Add v over the four lanes of each quad. Lane j of a quad receives the sums of the call whose
// `even` and `odd` are 1 in the lanes of group 2j and 2j + 1.
__device__ __forceinline__ void add_over_quads(
    float (&sum)[4], const float* v, float even, float odd
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
    __shared__ float4 steps[STEPS * CHANNELS];  // step size, times u, gradient of y, u
    __align__(16) __shared__ float weights_B[STEPS * WIDE], weights_C[STEPS * WIDE];
    __shared__ float sums_delta[STEPS * PITCH], sums_u[STEPS * PITCH];
    __align__(16) __shared__ float slices[SLICES * STEPS * STEP_PITCH];
#if GATE == 1
    __shared__ float sums_y[STEPS * PITCH], dsilu[STEPS * CHANNELS];
#endif
    const Branch& own = scan.branch[blockIdx.y];
    const int64 blocks = (scan.width + CHANNELS - 1) / CHANNELS;
    const int64 slot = blockIdx.x / blocks, block = blockIdx.x % blocks;
    const Part part(scan.offsets, scan.sequences, scan.segment, slot);
    const Place at;
    const int64 channel = block * CHANNELS + at.channel, column = block * CHANNELS + at.column;
    const int64 place = scan.segment ? slot : part.sequence;
    const int states = at.k * OWN;
    float A2[MANY][OWN], s[MANY][OWN], dA[MANY][OWN] = {};
    for (int c = 0; c < MANY; ++c) {
        int64 d = channel + c * APART;
        read_rates(A2[c], own.A, d, states, scan.width, scan.size);
        read_states(s[c], own.grad_last, place, d, states, scan.width, scan.size);
    }
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
    float before[MANY][OWN];  // the state kept before the steps whose turn is next
    read_kept(before, own, scan, part, channel, states, tiles * STEPS - KEEP);
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
                steps[place] = {dt, dt * u, dy, u};
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
            float h[MANY][KEEP + 1][OWN], a[MANY][KEEP][OWN];
#pragma unroll
            for (int c = 0; c < MANY; ++c)
                for (int n = 0; n < OWN; ++n) h[c][0][n] = before[c][n];
            read_kept(before, own, scan, part, channel, states, tile * STEPS + base - KEEP);
#pragma unroll
            for (int t = 0; t < KEEP; ++t) {
                const float4* now = steps + (base + t) * CHANNELS + at.channel;
                float b[OWN];
                read_weights(b, weights_B + (base + t) * WIDE + states);
#pragma unroll
                for (int c = 0; c < MANY; ++c) {
                    float2 step = *(const float2*)(now + c * APART);
#pragma unroll
                    for (int n = 0; n < OWN; ++n) {
                        a[c][t][n] = exp2_fast(step.x * A2[c][n]);
                        h[c][t + 1][n] = a[c][t][n] * h[c][t][n] + step.y * b[n];
                    }
                }
            }
            float over_quads[OWN / 4][4];
            float for_delta[MANY][4], for_u[MANY][4], for_y[MANY][4];
#pragma unroll
            for (int t = KEEP - 1; t >= 0; --t) {
                if (base == 0 && t == KEEP / 2 - 1 && tile)
                    fetch(in, from, scan, rows_of(part, own, tile - 1), part.start, at);
                const float4* now = steps + (base + t) * CHANNELS + at.channel;
                float b[OWN], w[OWN], dB[OWN], dC[OWN];
                read_weights(b, weights_B + (base + t) * WIDE + states);
                read_weights(w, weights_C + (base + t) * WIDE + states);
#pragma unroll
                for (int c = 0; c < MANY; ++c) {
                    float4 step = now[c * APART];
                    float dt = step.x, dtu = step.y, dy = step.z;
                    float by_delta = 0.f, by_u = 0.f, y = 0.f;
#pragma unroll
                    for (int n = 0; n < OWN; ++n) {
                        float g = w[n] * dy + s[c][n];
                        s[c][n] = a[c][t][n] * g;
                        float gp = s[c][n] * h[c][t][n];
                        by_delta += A2[c][n] * gp;
                        dA[c][n] += dt * gp;
                        by_u += b[n] * g;
                        dB[n] = c ? dB[n] + dtu * g : dtu * g;
                        dC[n] = c ? dC[n] + dy * h[c][t + 1][n] : dy * h[c][t + 1][n];
                        y += w[n] * h[c][t + 1][n];
                    }
                    for_delta[c][t & 3] = by_delta, for_u[c][t & 3] = by_u, for_y[c][t & 3] = y;
                }
#pragma unroll
                for (int n = 0; n < OWN; n += 4) {
                    float (&sum)[4] = over_quads[n / 4];
                    if (t & 1) sum[0] = sum[1] = sum[2] = sum[3] = 0.f;
                    add_over_quads(sum, dB + n, unit[(t & 1) * 4], unit[(t & 1) * 4 + 1]);
                    add_over_quads(sum, dC + n, unit[(t & 1) * 4 + 2], unit[(t & 1) * 4 + 3]);
                    if (t & 1) continue;
                    int slice = (threadIdx.x >> 5) * (8 / LANES) + at.half;
                    int row = slice * STEPS + base + t + (at.quad >> 1);
                    float* out = slices + row * STEP_PITCH + (at.quad & 1) * WIDE + states + n;
                    *(float4*)out = {sum[0], sum[1], sum[2], sum[3]};
                }
                if (t % 4) continue;
#pragma unroll
                for (int c = 0; c < MANY; ++c) {
                    int out = (base + t) * PITCH + c * APART;
                    put_sums(sums_delta + out, for_delta[c], at);
                    put_sums(sums_u + out, for_u[c], at);
#if GATE == 1
                    put_sums(sums_y + out, for_y[c], at);
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
                float u = step.w, by_u = sums_u[sum];
                float slant = LN2 * sums_delta[sum] + u * by_u;
#if SOFTPLUS
                slant *= softplus_slope(step.x);
#endif
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
    float* parameters = own.parameters + slot * scan.width * (scan.size + 2);
    for (int c = 0; c < MANY; ++c) {
        int64 d = channel + c * APART;
#if LOGARITHM
        for (int n = 0; n < OWN; ++n) dA[c][n] *= LN2 * A2[c][n];
#endif
        write_states(dA[c], parameters, 0, d, states, scan.width, scan.size);
        if (own.dinitial && part.real && part.begin == 0)
            write_states(s[c], own.dinitial, part.sequence, d, states, scan.width, scan.size);
    }
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
