"""Who: people, organisations, their provider credentials, and what they changed."""

from accounts.models.audit import AuditEntry
from accounts.models.credential import ProviderCredential
from accounts.models.organization import Membership, Organization, Role
from accounts.models.user import User

__all__ = ["AuditEntry", "Membership", "Organization", "ProviderCredential", "Role", "User"]
