// Forward pass of the selective scan, of up to two branches in one launch.
//
// PASS 0 writes y, the last states and, if asked, the state before every tile. A long sequence is
// cut into parts: PASS 1 runs each from zero and keeps its last state and sum of step sizes, from
// which `selective_scan_carry` makes the states that PASS 0 starts from. PASS 2 does the same for
// the adjoint state, from the last step to the first: s = a (s + C grad).

#include "_scan.cuh"

struct Branch {
    const U_TYPE* u;
    const DELTA_TYPE* delta;
    const float* A;
    const B_TYPE* B;
    const C_TYPE* C;
    const float *D, *bias;
    const Z_TYPE* gate;
    const float* initial;
    U_TYPE* y;
    float *last, *states, *sums;
    int64 stride_u, stride_delta, stride_B, stride_C, stride_gate, reverse;
};

struct Scan {
    Branch branch[BRANCHES];
    const int64 *perm, *offsets;
    int64 sequences, width, size, segment;
};

// What a thread brings in for one tile, as it lies in memory.
struct Incoming {
    Pack<U_TYPE, VECTOR> u[ROUNDS];
    Pack<DELTA_TYPE, VECTOR> delta[ROUNDS];
    Pack<Z_TYPE, VECTOR> gate[ROUNDS];
    Pack<B_TYPE, WEIGHT_VECTOR> B[WEIGHT_ROUNDS];
    Pack<C_TYPE, WEIGHT_VECTOR> C[WEIGHT_ROUNDS];
};

__device__ __forceinline__ Rows rows_of(const Part& part, const Branch& own, int tile) {
    int walked = tile * STEPS;
    int step = part.begin + (PASS == 2 ? part.count - 1 - walked : walked);
    return Rows(part, own.reverse, step, PASS == 2, part.count - walked);
}

// Where those come from.
struct Sources {
    Column<U_TYPE> u;
    Column<DELTA_TYPE> delta;
    Column<Z_TYPE> gate;
    Column<B_TYPE> B;
    Column<C_TYPE> C;
    bool inside;

    __device__ __forceinline__ Sources(const Branch& own, int64 start, int64 column, int64 width)
        : u(own.u, start, own.stride_u, column),
          delta(own.delta, start, own.stride_delta, column),
          gate(own.gate, start, own.stride_gate, column),
          B(own.B, start, own.stride_B, 0),
          C(own.C, start, own.stride_C, 0),
          inside(column < width) {}
};

__device__ __forceinline__ void fetch(
    Incoming& in, const Sources& from, const Scan& scan, const Rows& rows, int64 start,
    const Place& at
) {
#pragma unroll
    for (int j = 0; j < ROUNDS; ++j) {
        int i = at.round + j * DOWN, row = rows.row(i, scan.perm, start);
        bool inside = i < rows.left && from.inside;
        in.u[j] = from.u.read<VECTOR>(row, inside);
        in.delta[j] = from.delta.read<VECTOR>(row, inside);
#if GATE
        in.gate[j] = from.gate.read<VECTOR>(row, inside);
#endif
    }
#pragma unroll
    for (int j = 0; j < WEIGHT_ROUNDS; ++j) {
        int place = threadIdx.x + j * THREADS, i = place / WEIGHT_ACROSS;
        int n = place % WEIGHT_ACROSS * WEIGHT_VECTOR, row = rows.row(i, scan.perm, start);
        bool inside = i < rows.left && i < STEPS && n < scan.size;
#if PASS < 2
        in.B[j] = from.B.right(n).read<WEIGHT_VECTOR>(row, inside);
#endif
#if PASS != 1
        in.C[j] = from.C.right(n).read<WEIGHT_VECTOR>(row, inside);
#endif
    }
}

// Write the states at place `kept`.
__device__ __forceinline__ void keep(
    const float (&h)[MANY][OWN], float* out, int64 kept, int64 channel, int first, int64 width
) {
#pragma unroll
    for (int c = 0; c < MANY; ++c) {
        int64 d = channel + c * APART;
        float* at = out + (kept * width + d) * WIDE + first;
#pragma unroll
        for (int n = 0; n < OWN && d < width; n += 4)
            store_four(at + n, h[c][n], h[c][n + 1], h[c][n + 2], h[c][n + 3]);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
selective_scan_fwd(const __grid_constant__ Scan scan) {
    __shared__ float2 steps[STEPS * CHANNELS];  // step size; step size times u
    __align__(16) __shared__ float weights_B[STEPS * WIDE], weights_C[STEPS * WIDE];
    __shared__ float sums[STEPS * PITCH];
    const Branch& own = scan.branch[blockIdx.y];
    const int64 blocks = (scan.width + CHANNELS - 1) / CHANNELS;
    const int64 slot = blockIdx.x / blocks, first = blockIdx.x % blocks * CHANNELS;
    const Part part(scan.offsets, scan.sequences, scan.segment, slot);
    const Place at;
    const int64 channel = first + at.channel, column = first + at.column;
    const int states = at.k * OWN;
    const int64 place = PASS || scan.segment ? slot : part.sequence;
    float A2[MANY][OWN], h[MANY][OWN], total[MANY] = {};
    for (int c = 0; c < MANY; ++c) {
        int64 d = channel + c * APART;
        read_rates(A2[c], own.A, d, states, scan.width, scan.size);
        read_states(h[c], own.initial, place, d, states, scan.width, scan.size);
    }
    float bias[VECTOR], skip[VECTOR];
    for (int m = 0; m < VECTOR; ++m) {
        bool inside = column + m < scan.width;
        bias[m] = own.bias && inside ? own.bias[column + m] : 0.f;
        skip[m] = own.D && inside ? own.D[column + m] : 0.f;
    }

    Incoming in;
    const Sources from(own, part.start, column, scan.width);
    const Column<U_TYPE> target(own.y, part.start, scan.width, column);
    const int tiles = (part.count + STEPS - 1) / STEPS;
    if (tiles) fetch(in, from, scan, rows_of(part, own, 0), part.start, at);
    for (int tile = 0; tile < tiles; ++tile) {
        float u[ROUNDS][VECTOR], gate[ROUNDS][VECTOR];
        const Rows rows = rows_of(part, own, tile);
#pragma unroll
        for (int j = 0; j < ROUNDS; ++j) {
            int i = at.round + j * DOWN;
#pragma unroll
            for (int m = 0; m < VECTOR; ++m) {
                float slope, dt = step_size(element(in.delta[j], m) + bias[m], slope);
                dt = i < rows.left ? dt : 0.f;
                u[j][m] = element(in.u[j], m);
#if GATE
                float z = element(in.gate[j], m);
                gate[j][m] = z * sigmoid(z);
#else
                gate[j][m] = 1.f;
#endif
                float2 step = {dt, (PASS == 2 ? gate[j][m] : dt) * u[j][m]};
                steps[i * CHANNELS + at.column + m] = step;
            }
        }
#pragma unroll
        for (int j = 0; j < WEIGHT_ROUNDS; ++j) {
            int place = (threadIdx.x + j * THREADS) * WEIGHT_VECTOR;
            if (place >= STEPS * WIDE) break;
#pragma unroll
            for (int m = 0; m < WEIGHT_VECTOR; ++m) {
#if PASS == 2
                weights_B[place + m] = element(in.C[j], m);
#else
                weights_B[place + m] = element(in.B[j], m);
#endif
#if PASS == 0
                weights_C[place + m] = element(in.C[j], m);
#endif
            }
        }
        __syncthreads();
        if (tile + 1 < tiles) fetch(in, from, scan, rows_of(part, own, tile + 1), part.start, at);
#pragma unroll
        for (int t = 0; t < STEPS; t += 4) {
#if PASS == 0
            if (t % KEEP == 0 && t < rows.left && own.states)
                keep(
                    h, own.states, part.checkpoint(part.begin + tile * STEPS + t), channel, states,
                    scan.width
                );
#endif
            float y[MANY][4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float4* B = (const float4*)(weights_B + (t + i) * WIDE + states);
                const float4* C = (const float4*)(weights_C + (t + i) * WIDE + states);
                float2 step[MANY];
#pragma unroll
                for (int c = 0; c < MANY; ++c) {
                    step[c] = steps[(t + i) * CHANNELS + at.channel + c * APART];
                    y[c][i] = 0.f;
#if PASS
                    total[c] += step[c].x;
#endif
                }
#pragma unroll
                for (int n = 0; n < OWN; n += 4) {
                    float4 b4 = B[n / 4], c4 = PASS ? b4 : C[n / 4];
                    float b[4] = {b4.x, b4.y, b4.z, b4.w}, w[4] = {c4.x, c4.y, c4.z, c4.w};
#pragma unroll
                    for (int c = 0; c < MANY; ++c) {
#pragma unroll
                        for (int m = 0; m < 4; ++m) {
                            float a = exp2_fast(step[c].x * A2[c][n + m]);
                            float& state = h[c][n + m];
#if PASS == 2
                            state = a * (step[c].y * b[m] + state);
#else
                            state = a * state + step[c].y * b[m];
#endif
                            y[c][i] += w[m] * state;
                        }
                    }
                }
            }
#if PASS == 0
#pragma unroll
            for (int c = 0; c < MANY; ++c) put_sums(sums + t * PITCH + c * APART, y[c], at);
#endif
        }
        __syncthreads();
#if PASS == 0
#pragma unroll
        for (int j = 0; j < ROUNDS; ++j) {
            int i = at.round + j * DOWN;
            if (i >= rows.left || column >= scan.width) continue;
            Outgoing<U_TYPE, VECTOR> y;
            for (int m = 0; m < VECTOR; ++m) {
                float sum = sums[i * PITCH + at.column + m] + skip[m] * u[j][m];
                store(y.v, m, sum * gate[j][m]);
            }
            target.write(rows.row(i, scan.perm, part.start), y);
        }
#endif
    }
    for (int c = 0; c < MANY; ++c) {
        int64 d = channel + c * APART;
#if PASS
        write_states(h[c], own.last, slot, d, states, scan.width, scan.size);
        if (at.k == 0 && d < scan.width) own.sums[slot * scan.width + d] = total[c];
#else
        if (part.real && part.begin + part.count == part.length)
            write_states(h[c], own.last, part.sequence, d, states, scan.width, scan.size);
#endif
    }
}
