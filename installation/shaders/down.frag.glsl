// Resamples along the other axis, turns by quarters, grades, fades and dithers onto the surface.
#version 330 core
#include "kernel.glsl"

uniform sampler2D picture;   // already resampled along its x axis
uniform Axis axis;
uniform ivec2 corner;        // of the picture's visible part on the surface, pixels
uniform ivec2 far_end;       // its width - 1 and height - 1
uniform ivec3 turn;          // x, y: count from the far end; z: swap the axes
uniform float opacity;
uniform float inverse_gamma;
uniform float brightness;
uniform float levels;        // of the surface above black, 255 for 8 bits; 0: no dither
uniform uint tick;
out vec4 colour;

// pcg3d of Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020.
uvec3 hash(uvec3 v) {
    v = v * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> 16u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    return v;
}

void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy) - corner;
    ivec2 seen = ivec2(turn.x == 1 ? far_end.x - pixel.x : pixel.x,
                       turn.y == 1 ? far_end.y - pixel.y : pixel.y);
    seen = turn.z == 1 ? seen.yx : seen;
    float at = position(axis, seen.y);
    int first = first_tap(axis, at);
    vec3 sum = vec3(0.0);
    float weights = 0.0;
    for (int tap = 0; tap < TAPS; tap++) {
        int y = first + tap;
        float weight = kernel((float(y) - at) / axis.width);
        sum += weight * texelFetch(picture, ivec2(seen.x, clamp(y, 0, axis.last)), 0).rgb;
        weights += weight;
    }
    vec3 graded = clamp(sum / weights, 0.0, 1.0);
    if (inverse_gamma != 1.0) graded = pow(graded, vec3(inverse_gamma));
    graded *= brightness;
    if (levels > 0.0) {
        // Just within half a level: black stays black, white stays white.
        vec3 noise = (vec3(hash(uvec3(pixel, tick)) >> 9u) + 0.5) / 8388608.0 - 0.5;
        graded += 0.99 * noise / levels;
    }
    colour = vec4(graded, opacity);
}
