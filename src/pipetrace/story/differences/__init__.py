"""Two runs side by side: records of both become one page, and what differs first is named."""
