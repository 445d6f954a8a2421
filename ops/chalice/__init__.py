"""What Chalice deploys: the functions with their roles, the events that reach them, the REST API."""
