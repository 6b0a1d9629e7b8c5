"""Product code with one mechanism taken out, as patches: each must turn its test red (`__main__`)."""
