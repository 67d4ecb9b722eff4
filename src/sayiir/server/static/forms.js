// Forms: a second click sends nothing twice; a bulk action goes on by itself; what was said once leaves the address.
export function startForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent; });

  const url = new URL(location.href);
  if (url.searchParams.has("said")) {
    url.searchParams.delete("said");
    history.replaceState(null, "", url);
  }
  const more = document.querySelector("form[data-go-on]");
  if (more) more.requestSubmit();

  // Empty inputs would make long addresses of short filters.
  document.addEventListener("formdata", (event) => {
    if (event.target.method !== "get") return;
    for (const [name, value] of [...event.formData]) if (value === "" || ["where", "scope"].includes(name)) event.formData.delete(name);
  });
}
