// Blends two key images at the model's size: planar [-1, 1], row 0 on top, to RGB [0, 1], row 0 below.
#version 330 core

uniform sampler2DArray earlier;
uniform sampler2DArray later;
uniform int first_layer;  // of this image's red, green, blue
uniform float blend;      // 0: earlier, 1: later
uniform float opacity;    // over the layers below
out vec4 colour;

vec3 key_image(sampler2DArray planes, ivec2 texel) {
    vec3 nominal = vec3(texelFetch(planes, ivec3(texel, first_layer), 0).r,
                        texelFetch(planes, ivec3(texel, first_layer + 1), 0).r,
                        texelFetch(planes, ivec3(texel, first_layer + 2), 0).r);
    return clamp(nominal * 0.5 + 0.5, 0.0, 1.0);
}

void main() {
    ivec2 texel = ivec2(gl_FragCoord.x, float(textureSize(earlier, 0).y) - gl_FragCoord.y);
    colour = vec4(mix(key_image(earlier, texel), key_image(later, texel), blend), opacity);
}
