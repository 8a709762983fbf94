"""One function per Kit JSON object. The API answers with them, and webhook payloads are made of them."""
