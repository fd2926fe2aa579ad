"""From a recorded graph to a picture: scene, layout, DOT, engine, clean SVG, file."""
