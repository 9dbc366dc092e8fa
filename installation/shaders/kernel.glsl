// The piecewise cubic of Mitchell and Netravali, "Reconstruction Filters in Computer Graphics", 1988, eq. 8.
#ifndef TAPS
#define TAPS axis.taps  // enlarging always takes 4, and llvmpipe is a third faster to know it
#endif

uniform vec2 cubic;  // (B, C)

float kernel(float x) {
    float B = cubic.x, C = cubic.y;
    x = abs(x);
    float near = ((12.0 - 9.0 * B - 6.0 * C) * x + (-18.0 + 12.0 * B + 6.0 * C)) * x * x + (6.0 - 2.0 * B);
    float far = (((-B - 6.0 * C) * x + (6.0 * B + 30.0 * C)) * x + (-12.0 * B - 48.0 * C)) * x
              + (8.0 * B + 24.0 * C);
    return x < 1.0 ? near : (x < 2.0 ? far : 0.0);  // times 6: the sum of weights is divided out
}

// One axis of a picture on a surface: texel position = (pixel + before + 0.5) * texels_per_pixel - 0.5
struct Axis {
    float before;            // pixels of the picture hidden before the first visible one
    float texels_per_pixel;
    float width;             // of the kernel, in texels: 1 when enlarging, else texels_per_pixel
    int taps;                // texels under the kernel, an even number
    int last;                // the last texel
};

float position(Axis axis, int pixel) {
    return (float(pixel) + axis.before + 0.5) * axis.texels_per_pixel - 0.5;
}

int first_tap(Axis axis, float at) {
    return int(floor(at)) - TAPS / 2 + 1;
}
