"""Reading and running ONNX models. The only place that imports onnx and onnxruntime."""
