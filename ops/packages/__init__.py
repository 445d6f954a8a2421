"""What the functions carry: wheels for their platform, and the layer with pandas, numpy and pyarrow."""
