// Runs before htmx: only the stream is its business. Its search through all else is in vain, and long in a large picture.
document.addEventListener("htmx:before:process", (event) => { if (event.target.id !== "stream") event.preventDefault(); });
