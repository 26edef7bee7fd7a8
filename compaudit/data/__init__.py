"""What models are fed: files of samples, and synthetic inputs."""
