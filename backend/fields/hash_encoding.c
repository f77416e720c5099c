/* The multiresolution hash encoding (Mueller et al. 2022, "Instant Neural Graphics Primitives") of
   nerfstudio's torch HashEncoding: same hash, same corners (floor and ceil), same weights.

   positions (n, 3), table (levels * 2^log2_size, features), scalings (levels),
   encoded and its gradient (n, levels * features); all float32 and contiguous.
   Each function does a range, so that threads share the work and no two write to the same place. */

#include <stdint.h>

#define BLOCK 256
#define MAX_FEATURES 8

/* Table rows and weights of the eight corners of `count` points; the corner's bits 0, 1, 2 say
   whether it is the upper one along x, y, z. */
static void corners(const float *positions, int count, float scaling, uint32_t mask,
                    uint32_t rows[8][BLOCK], float offsets[3][BLOCK])
{
    static const uint32_t prime[3] = {1u, 2654435761u, 805459861u};
    uint32_t low[3][BLOCK], high[3][BLOCK];
    for (int axis = 0; axis < 3; axis++)
        for (int i = 0; i < count; i++) {
            float x = positions[3 * i + axis] * scaling;
            int32_t floor = (int32_t)x;
            floor -= x < (float)floor;
            int32_t ceil = floor + (x > (float)floor);
            offsets[axis][i] = x - (float)floor;
            low[axis][i] = (uint32_t)floor * prime[axis];
            high[axis][i] = (uint32_t)ceil * prime[axis];
        }
    for (int corner = 0; corner < 8; corner++) {
        const uint32_t *x = corner & 1 ? high[0] : low[0];
        const uint32_t *y = corner & 2 ? high[1] : low[1];
        const uint32_t *z = corner & 4 ? high[2] : low[2];
        for (int i = 0; i < count; i++)
            rows[corner][i] = (x[i] ^ y[i] ^ z[i]) & mask;
    }
}

static void weigh(float offsets[3][BLOCK], int count, float weights[8][BLOCK])
{
    for (int corner = 0; corner < 8; corner++)
        for (int i = 0; i < count; i++) {
            float x = corner & 1 ? offsets[0][i] : 1 - offsets[0][i];
            float y = corner & 2 ? offsets[1][i] : 1 - offsets[1][i];
            float z = corner & 4 ? offsets[2][i] : 1 - offsets[2][i];
            weights[corner][i] = x * y * z;
        }
}

static inline void gather(const float *table, uint32_t rows[8][BLOCK], float weights[8][BLOCK],
                          int count, int features, int stride, float *encoded)
{
    for (int i = 0; i < count; i++) {
        float sum[MAX_FEATURES] = {0};
        for (int corner = 0; corner < 8; corner++) {
            const float *row = table + (int64_t)features * rows[corner][i];
            for (int f = 0; f < features; f++)
                sum[f] += weights[corner][i] * row[f];
        }
        for (int f = 0; f < features; f++)
            encoded[(int64_t)stride * i + f] = sum[f];
    }
}

static inline void scatter(float *table, uint32_t rows[8][BLOCK], float weights[8][BLOCK],
                           int count, int features, int stride, const float *gradient)
{
    for (int i = 0; i < count; i++)
        for (int corner = 0; corner < 8; corner++) {
            float *row = table + (int64_t)features * rows[corner][i];
            for (int f = 0; f < features; f++)
                row[f] += weights[corner][i] * gradient[(int64_t)stride * i + f];
        }
}

/* Adds d(encoded . gradient)/d(position) of one level. */
static inline void slope(const float *table, uint32_t rows[8][BLOCK], float offsets[3][BLOCK],
                         int count, int features, int stride, float scaling, const float *gradient,
                         float *positions)
{
    for (int i = 0; i < count; i++) {
        float value[8];
        for (int corner = 0; corner < 8; corner++) {
            const float *row = table + (int64_t)features * rows[corner][i];
            value[corner] = 0;
            for (int f = 0; f < features; f++)
                value[corner] += row[f] * gradient[(int64_t)stride * i + f];
        }
        for (int axis = 0; axis < 3; axis++) {
            float u = offsets[(axis + 1) % 3][i], v = offsets[(axis + 2) % 3][i], sum = 0;
            int bit = 1 << axis, bit_u = 1 << (axis + 1) % 3, bit_v = 1 << (axis + 2) % 3;
            for (int corner = 0; corner < 8; corner++) {
                float weight = (corner & bit_u ? u : 1 - u) * (corner & bit_v ? v : 1 - v);
                sum += (corner & bit ? weight : -weight) * value[corner];
            }
            positions[3 * i + axis] += scaling * sum;
        }
    }
}

/* Writes `encoded` of the points first..last. */
void encode(const float *positions, const float *table, const float *scalings, float *encoded,
            int64_t first, int64_t last, int levels, int log2_size, int features)
{
    uint32_t rows[8][BLOCK];
    float offsets[3][BLOCK], weights[8][BLOCK];
    int stride = levels * features;
    for (int64_t at = first; at < last; at += BLOCK) {
        int count = last - at < BLOCK ? (int)(last - at) : BLOCK;
        for (int level = 0; level < levels; level++) {
            const float *rows_of_level = table + ((int64_t)level << log2_size) * features;
            float *target = encoded + at * stride + level * features;
            corners(positions + 3 * at, count, scalings[level], (1u << log2_size) - 1, rows,
                    offsets);
            weigh(offsets, count, weights);
            if (features == 2)
                gather(rows_of_level, rows, weights, count, 2, stride, target);
            else
                gather(rows_of_level, rows, weights, count, features, stride, target);
        }
    }
}

/* Adds the gradient of the table's levels first..last, over all points. */
void table_gradient(const float *positions, const float *gradient, const float *scalings,
                    float *table, int64_t points, int first, int last, int levels, int log2_size,
                    int features)
{
    uint32_t rows[8][BLOCK];
    float offsets[3][BLOCK], weights[8][BLOCK];
    int stride = levels * features;
    for (int level = first; level < last; level++)
        for (int64_t at = 0; at < points; at += BLOCK) {
            int count = points - at < BLOCK ? (int)(points - at) : BLOCK;
            float *rows_of_level = table + ((int64_t)level << log2_size) * features;
            const float *source = gradient + at * stride + level * features;
            corners(positions + 3 * at, count, scalings[level], (1u << log2_size) - 1, rows,
                    offsets);
            weigh(offsets, count, weights);
            if (features == 2)
                scatter(rows_of_level, rows, weights, count, 2, stride, source);
            else
                scatter(rows_of_level, rows, weights, count, features, stride, source);
        }
}

/* Adds the gradient of the positions first..last to `result` (n, 3). */
void position_gradient(const float *positions, const float *table, const float *gradient,
                       const float *scalings, float *result, int64_t first, int64_t last,
                       int levels, int log2_size, int features)
{
    uint32_t rows[8][BLOCK];
    float offsets[3][BLOCK];
    int stride = levels * features;
    for (int64_t at = first; at < last; at += BLOCK) {
        int count = last - at < BLOCK ? (int)(last - at) : BLOCK;
        for (int level = 0; level < levels; level++) {
            const float *rows_of_level = table + ((int64_t)level << log2_size) * features;
            const float *source = gradient + at * stride + level * features;
            corners(positions + 3 * at, count, scalings[level], (1u << log2_size) - 1, rows,
                    offsets);
            if (features == 2)
                slope(rows_of_level, rows, offsets, count, 2, stride, scalings[level], source,
                      result + 3 * at);
            else
                slope(rows_of_level, rows, offsets, count, features, stride, scalings[level],
                      source, result + 3 * at);
        }
    }
}
