// Resamples a picture along its own x axis only: as wide as it will be seen, as high as it is.
#version 330 core
#include "kernel.glsl"

uniform sampler2D picture;
uniform Axis axis;
out vec4 colour;

void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
    float at = position(axis, pixel.x);
    int first = first_tap(axis, at);
    vec3 sum = vec3(0.0);
    float weights = 0.0;
    for (int tap = 0; tap < TAPS; tap++) {
        int x = first + tap;
        float weight = kernel((float(x) - at) / axis.width);
        sum += weight * texelFetch(picture, ivec2(clamp(x, 0, axis.last), pixel.y), 0).rgb;
        weights += weight;
    }
    colour = vec4(sum / weights, 1.0);
}
