// The token goes into a header, never into an address, where logs and histories would keep it.
"use strict";

function open_dashboard() {
  if (location.pathname === "/" && location.search === "") // the same address: only its fragment would be followed
    location.reload();
  else
    location.replace("/" + location.hash);
}

async function log_in(event) {
  event.preventDefault();
  const fault = document.getElementById("fault");
  const token = document.getElementById("token").value.trim();
  fault.textContent = "";
  try {
    const reply = await fetch("/login", { headers: { Authorization: "Bearer " + token } });
    if (reply.ok)
      return open_dashboard();
    fault.textContent = "This is not the token.";
  } catch {
    fault.textContent = "The server does not answer.";
  }
  document.getElementById("token").select();
}

document.getElementById("login").addEventListener("submit", log_in);
// Whoever came by a link from elsewhere is not sent with the cookie, but has it all the same.
fetch("/api/status").then((reply) => { if (reply.ok) open_dashboard(); }, () => {});
