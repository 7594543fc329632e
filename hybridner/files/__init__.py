"""Reading and writing files safely, and the Hugging Face Hub."""
