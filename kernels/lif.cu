// Spiking neurons: a thread owns WIDTH neurons, side by side, and walks through time.
//
// Macros: IN type of inputs and spikes; WIDTH 1, 2 or 4; HARD, DECAY and DETACH flags; EXACT 1 where
// tau is a power of two; SURROGATE 0 sigmoid, 1 atan, 2 triangle, 3 erf; STEPS of a backward segment.
// Where tau is no power of two nothing here can be contracted, else contraction changes no bit:
// products are by a power of two, by 0 or by 1.

struct Neuron {
    float tau;  // 1 / tau where EXACT
    float threshold;
    float reset;
};

template <typename T> struct __align__(sizeof(T) * WIDTH) Row { T value[WIDTH]; };

template <typename T>
__device__ __forceinline__ void read(const T* p, int64 i, float* out) {
    Row<T> row = *reinterpret_cast<const Row<T>*>(p + i);
    #pragma unroll
    for (int k = 0; k < WIDTH; k++) out[k] = load(row.value, k);
}

template <typename T>
__device__ __forceinline__ void write(T* p, int64 i, const float* in) {
    Row<T> row;
    #pragma unroll
    for (int k = 0; k < WIDTH; k++) store(row.value, k, in[k]);
    *reinterpret_cast<Row<T>*>(p + i) = row;
}

__device__ __forceinline__ float over_tau(float value, const Neuron& n) {
    return EXACT ? value * n.tau : __fdiv_rn(value, n.tau);
}

__device__ __forceinline__ float charge(float v, float x, const Neuron& n) {
    if (DECAY) return v + over_tau(x - (v - n.reset), n);
    return (v - over_tau(v - n.reset, n)) + x;
}

__device__ __forceinline__ float spike_of(float h, const Neuron& n) {
    return h >= n.threshold ? 1.f : 0.f;
}

__device__ __forceinline__ float after(float h, float spike, const Neuron& n) {
    return HARD ? spike * n.reset + (1.f - spike) * h : h - spike * n.threshold;
}

// Derivative that stands for the one of the step at u.
__device__ __forceinline__ float slope(float u, float alpha) {
    float z = alpha * u;
    if (SURROGATE == 0) {
        float q = __fdividef(1.f, 1.f + exp2_fast(-1.4426950408889634f * z));
        return (1.f - q) * q * alpha;
    }
    if (SURROGATE == 1) {
        z *= 1.5707963267948966f;
        return __fdividef(0.5f * alpha, 1.f + z * z);
    }
    if (SURROGATE == 2) return fmaxf(alpha - alpha * fabsf(z), 0.f);
    return 0.5641895835477563f * alpha * exp2_fast(-1.4426950408889634f * z * z);
}

__device__ __forceinline__ void begin(const float* v0, int64 i, const Neuron& n, float* v) {
    if (v0) {
        read(v0, i, v);
    } else {
        #pragma unroll
        for (int k = 0; k < WIDTH; k++) v[k] = n.reset;
    }
}

extern "C" __global__ void __launch_bounds__(128) forward(
    const IN* x, const float* v0, IN* spikes, float* v_end, float* v_seq,
    int64 neurons, int steps, float tau, float threshold, float reset
) {
    Neuron n = {tau, threshold, reset};
    int64 i = (int64(blockIdx.x) * 128 + threadIdx.x) * WIDTH;
    if (i >= neurons) return;
    float v[WIDTH];
    begin(v0, i, n, v);
    #pragma unroll 4
    for (int t = 0; t < steps; t++) {
        int64 at = t * neurons + i;
        float current[WIDTH], fired[WIDTH];
        read(x, at, current);
        #pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            float h = charge(v[k], current[k], n);
            fired[k] = spike_of(h, n);
            v[k] = after(h, fired[k], n);
        }
        if (spikes) write(spikes, at, fired);
        if (v_seq) write(v_seq, at, v);
    }
    write(v_end, i, v);
}

extern "C" __global__ void __launch_bounds__(128) backward(
    const IN* grad_spikes, const float* grad_v_end, const float* grad_v_seq,
    const IN* x, const float* v0, IN* dx, float* dv0,
    int64 neurons, float tau, float threshold, float reset, float alpha
) {
    Neuron n = {tau, threshold, reset};
    int64 i = (int64(blockIdx.x) * 128 + threadIdx.x) * WIDTH;
    if (i >= neurons) return;
    float potential[STEPS][WIDTH], v[WIDTH], carry[WIDTH];
    begin(v0, i, n, v);
    #pragma unroll
    for (int t = 0; t < STEPS; t++) {
        float current[WIDTH];
        read(x, t * neurons + i, current);
        #pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            potential[t][k] = charge(v[k], current[k], n);
            v[k] = after(potential[t][k], spike_of(potential[t][k], n), n);
        }
    }
    #pragma unroll
    for (int k = 0; k < WIDTH; k++) carry[k] = 0.f;
    if (grad_v_end) read(grad_v_end, i, carry);
    #pragma unroll
    for (int t = STEPS - 1; t >= 0; t--) {
        int64 at = t * neurons + i;
        float e[WIDTH], out[WIDTH];
        #pragma unroll
        for (int k = 0; k < WIDTH; k++) e[k] = 0.f;
        if (grad_spikes) read(grad_spikes, at, e);
        if (grad_v_seq) {
            float more[WIDTH];
            read(grad_v_seq, at, more);
            #pragma unroll
            for (int k = 0; k < WIDTH; k++) carry[k] += more[k];
        }
        #pragma unroll
        for (int k = 0; k < WIDTH; k++) {
            float h = potential[t][k];
            if (!DETACH) e[k] += HARD ? carry[k] * n.reset - carry[k] * h : -(carry[k] * n.threshold);
            float kept = HARD && h >= n.threshold ? 0.f : carry[k];
            float charged = e[k] * slope(h - n.threshold, alpha) + kept;
            float leaked = over_tau(charged, n);
            out[k] = DECAY ? leaked : charged;
            carry[k] = charged - leaked;
        }
        write(dx, at, out);
    }
    write(dv0, i, carry);
}
