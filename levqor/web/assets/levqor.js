// What pages cannot do without a script: read the part of a link that no server sees, and
// ask for a passkey. Everything else is plain forms.
"use strict";

for (const form of document.querySelectorAll("form[data-fragment]")) {
	form.elements.namedItem(form.dataset.fragment).value = location.hash.slice(1);
}

// passkey asks the browser for what the form needs: a new passkey, or one of those that
// there are.
async function passkey(form) {
	const asked = await fetch(form.dataset.options, { method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" } });
	if (asked.redirected) { // another proof is needed first, and this page is of no use until then
		location.assign(asked.url);
		return null;
	}
	if (!asked.ok) {
		throw new Error(`the options have status ${asked.status}`);
	}
	const options = await asked.json();
	if (form.dataset.passkey === "create") {
		return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
	}
	return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		const failed = form.querySelector("[data-failed]");
		failed.hidden = true;
		try {
			const credential = await passkey(form);
			if (!credential) {
				return;
			}
			form.elements.namedItem("answer").value = JSON.stringify(credential.toJSON());
			form.submit();
		} catch (reason) {
			failed.hidden = false;
			console.info("passkey:", reason);
		}
	});
}
