// Rows of features in memory, read and written several elements at a time.

// An element as it lies in memory, made a float when it is needed.
__device__ __forceinline__ float widen(float v) { return v; }
__device__ __forceinline__ float widen(bfloat16 v) { return __uint_as_float(uint32(v.bits) << 16); }
__device__ __forceinline__ float widen(float16 v) { return load(&v, 0); }

constexpr float LOG2E = 1.4426950408889634f;

__device__ __forceinline__ float sigmoid(float v) {
    return reciprocal(1.f + exp2_fast(-LOG2E * v));
}

// Neighbours in memory, as read at once. They stay words until they are needed: to take them apart
// would wait for them.
template <class T, int N>
struct Pack {
    uint32 word[(sizeof(T) * N + 3) / 4];
};

__device__ __forceinline__ float element(const uint32* word, int m, const float*) {
    return __uint_as_float(word[m]);
}

__device__ __forceinline__ float element(const uint32* word, int m, const bfloat16*) {
    return __uint_as_float(m & 1 ? word[m / 2] & 0xffff0000u : word[m / 2] << 16);
}

__device__ __forceinline__ float element(const uint32* word, int m, const float16*) {
    return widen(float16{uint16(word[m / 2] >> 16 * (m & 1))});
}

template <class T, int N>
__device__ __forceinline__ float element(const Pack<T, N>& pack, int m) {
    return element(pack.word, m, (const T*)nullptr);
}

// N elements to be written at once.
template <class T, int N>
struct __align__(sizeof(T) * N) Outgoing {
    T v[N];
};

// A column of a sequence's rows.
template <class T>
struct Column {
    char* first;
    int stride;  // bytes from row to row

    __device__ __forceinline__ Column(const T* p, int64 start, int64 stride_, int64 column) {
        first = (char*)(p + start * stride_ + column);
        stride = int(stride_ * sizeof(T));
    }

    __device__ __forceinline__ Column right(int columns) const {
        Column other = *this;
        other.first += columns * int(sizeof(T));
        return other;
    }

    template <int N>
    __device__ __forceinline__ Pack<T, N> read(int row, bool inside) const {
        Pack<T, N> pack{};
        const char* p = first + int64(row) * stride;
        if (inside) {
            if constexpr (sizeof(T) * N == 2) {
                pack.word[0] = *(const uint16*)p;
            } else if constexpr (sizeof(T) * N == 4) {
                pack.word[0] = *(const uint32*)p;
            } else if constexpr (sizeof(T) * N == 8) {
                uint2 both = *(const uint2*)p;
                pack.word[0] = both.x, pack.word[1] = both.y;
            } else {
                uint4 all = *(const uint4*)p;
                pack.word[0] = all.x, pack.word[1] = all.y;
                pack.word[2] = all.z, pack.word[3] = all.w;
            }
        }
        return pack;
    }

    template <int N>
    __device__ __forceinline__ void write(int row, const Outgoing<T, N>& out) const {
        *(Outgoing<T, N>*)(first + int64(row) * stride) = out;
    }
};
