"""What files hold, told by libraries that run in processes of their own."""
