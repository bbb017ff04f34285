// A layer of deck.gl that draws each dot as one point. Its ScatterplotLayer draws every dot as an
// instance of its own, which graphics cards do not mind, but drawing in software (virtual machines,
// remote desktops) does: fifty thousand instances take it a second, fifty thousand points do not.
import { Layer, Model, picking, project32 } from "./vendor/deck.js";

const BLOCK = `\
layout(std140) uniform dotsUniforms {
  float size;
} dots;
`;

const uniforms = { name: "dots", vs: BLOCK, fs: BLOCK, source: "", uniformTypes: { size: "f32" } };

const VERTEX = `\
#version 300 es
#define SHADER_NAME dots-vertex
in vec3 positions;
in vec3 positions64Low;
in vec4 colors;
out vec4 fill;

void main(void) {
  geometry.worldPosition = positions;
  geometry.pickingColor = picking_getPickingColorFromIndex(float(gl_VertexID));
  gl_Position = project_position_to_clipspace(positions, positions64Low, vec3(0.0), geometry.position);
  DECKGL_FILTER_GL_POSITION(gl_Position, geometry);
  gl_PointSize = dots.size;
  fill = colors;
  DECKGL_FILTER_COLOR(fill, geometry);
}
`;

const FRAGMENT = `\
#version 300 es
#define SHADER_NAME dots-fragment
precision highp float;
in vec4 fill;
out vec4 fragColor;

void main(void) {
  geometry.uv = 2.0 * gl_PointCoord - 1.0;
  // The outermost pixel fades, so that small dots are round.
  float inside = clamp(0.5 * dots.size * (1.0 - length(geometry.uv)) + 0.5, 0.0, 1.0);
  if (inside == 0.0) discard;
  fragColor = vec4(fill.rgb, fill.a * inside);
  DECKGL_FILTER_COLOR(fragColor, geometry);
}
`;

export class DotsLayer extends Layer {
  getShaders() {
    return super.getShaders({ vs: VERTEX, fs: FRAGMENT, modules: [project32, picking, uniforms] });
  }

  initializeState() {
    const attributes = this.getAttributeManager();
    attributes.add({
      positions: { size: 3, type: "float64", fp64: this.use64bitPositions(), accessor: "getPosition" },
      colors: { size: 4, type: "unorm8", accessor: "getColor" },
    });
    this.setState({
      model: new Model(this.context.device, {
        ...this.getShaders(),
        id: this.props.id,
        topology: "point-list",
        bufferLayout: attributes.getBufferLayouts({ isInstanced: false }),
        isInstanced: false,
      }),
    });
  }

  draw() {
    const { radius, largest, zoomedFrom, data } = this.props;
    const grown = radius * 2 ** Math.max(0, (this.context.viewport.zoom - zoomedFrom) / 2);
    const { model } = this.state;
    model.setVertexCount(data.length);
    model.shaderInputs.setProps({
      dots: { size: 2 * Math.min(largest, grown) * this.context.deck.props.useDevicePixels },
    });
    model.draw(this.context.renderPass);
  }
}

DotsLayer.layerName = "DotsLayer";
DotsLayer.defaultProps = {
  radius: { type: "number", value: 2 }, // pixels of the page
  largest: { type: "number", value: 5 }, // how far dots grow when one zooms in
  zoomedFrom: { type: "number", value: 0 }, // zoom at which the radius holds
  getPosition: { type: "accessor", value: null },
  getColor: { type: "accessor", value: [0, 0, 0, 255] },
};
