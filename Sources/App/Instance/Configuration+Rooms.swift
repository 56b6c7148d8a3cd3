import ATProtocol
import Identity
import Pages
import Publishing
import Web

extension Configuration {
    /// The part of the Identity rooms.
    func identity() throws -> IdentityConfiguration {
        guard let origin = ServiceOrigin(name.url) else { throw InstanceError.name(name) }
        guard let domains = HandleDomains(handleDomains) else { throw InstanceError.name(name) }
        var identity = IdentityConfiguration(origin: origin, handleDomains: domains)
        identity.invites = requiresInvite ? .required : .waived
        identity.approval = requiresApproval ? .required : .waived
        identity.bootstrap = administrator.map {
            BootstrapAdministrator(handle: $0.handle, email: $0.email, password: $0.password.value)
        }
        identity.operatorPassword = operatorPassword?.value
        identity.plcDirectory = directory
        // Identities of the open network have no business on a machine for development, and its people none there.
        if isDevelopment { identity.publicPLCDirectory = nil }
        identity.setting = isDevelopment ? .development : .production
        return identity
    }

    /// What sends letters; nil when nothing does.
    func mail(_ surroundings: Surroundings) throws(MailFailure) -> (any MailTransport)? {
        guard let server = mail.server.flatMap({ MailServer($0.value) }) else {
            return isDevelopment ? LoggedMail(logger: surroundings.logger) : nil
        }
        return try SMTPMail(
            server, sender: mail.sender, hostname: name.host, clock: surroundings.clock,
            randomness: surroundings.randomness)
    }

    var blobLimits: BlobLimits {
        var limits = BlobLimits()
        limits.sizeBytesMax = Int64(blobSizeBytesMax)
        limits.accountSizeBytesMax = Int64(blobAccountSizeBytesMax)
        return limits
    }

    var firehoseLimits: FirehoseLimits {
        var limits = FirehoseLimits()
        limits.subscriberCountMax = firehose.subscribersMax
        limits.subscriberCountPerAddressMax = limitsRates ? max(1, firehose.subscribersMax / 10) : .max
        return limits
    }

    /// What the pages say of the place.
    var place: PlaceDescription {
        var place = PlaceDescription(
            title: presentation.title, address: name.url, authority: name.authority,
            handleDomain: handleDomains.first ?? name.handleDomain, version: KithVersion.text)
        place.summary = presentation.summary
        place.contactEmail = presentation.contactEmail
        place.privacyPolicy = presentation.privacyPolicy
        place.termsOfService = presentation.termsOfService
        if requiresInvite { place.joining.insert(.invite) }
        if requiresApproval { place.joining.insert(.approval) }
        return place
    }
}
