using System.Buffers.Text;
using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Azure.Storage.Blobs.Models;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>What a container has to be told of, the clouds that have them, and how one is opened.</summary>
internal static partial class AzureConnector
{
    private const string Endpoint = "endpoint";
    private const string Account = "account";
    private const string Container = "container";
    private const string Prefix = "prefix";
    private const string AccountKey = "account-key";
    private const string Signature = "sas";
    private const string Tier = "access-tier";

    /// <summary>Stands in an endpoint for the account.</summary>
    private const string AccountMark = "{account}";

    private const string PublicEndpoint = "https://{account}.blob.core.windows.net";

    public static readonly Connector Connector = new(
        new ConnectorType("azure", "Azure Blob Storage", "A container of block blobs in a storage account of Azure, or of what speaks its API.",
        [
            new(Endpoint, "Where the account's blob service listens. Azure's public cloud of that account where nothing is said.", ConnectorFieldKind.Url, IsPlace: true),
            new(Account, "The storage account.", IsRequired: true, IsPlace: true),
            new(Container, "The container. It has to be there.", IsRequired: true, IsPlace: true),
            new(Prefix, "What every blob's name begins with there, such as darkstorage/. The container can then have other things too.", IsPlace: true),
            new(AccountKey, "One of the account's two keys. Either this or a shared access signature.", ConnectorFieldKind.Secret),
            new(Signature, "A shared access signature of the container or the account that may read, add, create, write, delete and list: what is behind the question mark of its address.", ConnectorFieldKind.Secret),
            new(Tier, "The access tier of what is kept there. The account's own where nothing is said.", ConnectorFieldKind.Choice, Choices: ["Hot", "Cool", "Cold", "Archive"]),
        ],
        [
            Preset("azure", "Azure", "Needs account, container, and a key or a shared access signature.", PublicEndpoint),
            Preset("azure-china", "Azure China (21Vianet)", "Needs account, container, and a key or a shared access signature.", "https://{account}.blob.core.chinacloudapi.cn"),
            Preset("azure-us-government", "Azure US Government", "Needs account, container, and a key or a shared access signature.", "https://{account}.blob.core.usgovcloudapi.net"),
            Preset("azurite", "Azurite, Azure's emulator", "Needs container, and the key that Azurite's documentation names. It begins with the emulator's own account and port.", "http://127.0.0.1:10000/{account}", account: "devstoreaccount1"),
        ]),
        Open);

    private static AzureBackend Open(IReadOnlyDictionary<string, string> settings, TimeProvider clock)
    {
        var (account, container, prefix) = (settings[Account], settings[Container], settings.GetValueOrDefault(Prefix, ""));
        if (!AccountName().IsMatch(account)) throw ConnectorType.Invalid($"{Account}: 3 to 24 lower-case letters and digits.");
        if (!ContainerName().IsMatch(container)) throw ConnectorType.Invalid($"{Container}: 3 to 63 lower-case letters, digits and single dashes, with none in front or behind.");
        if (prefix.StartsWith('/')) throw ConnectorType.Invalid($"{Prefix}: without a slash in front.");
        var place = new AzurePlace(AddressOf(settings.GetValueOrDefault(Endpoint, PublicEndpoint), account), container, prefix, settings.TryGetValue(Tier, out var tier) ? new AccessTier(tier) : default(AccessTier?));
        return new(ClientsOf(account, settings), place, clock);
    }

    private static AzureClients ClientsOf(string account, IReadOnlyDictionary<string, string> settings)
    {
        var (key, signature) = (settings.GetValueOrDefault(AccountKey)?.Trim(), settings.GetValueOrDefault(Signature)?.Trim());
        if (key is null == signature is null) throw ConnectorType.Invalid($"One of {AccountKey} and {Signature} is needed, and not both.");
        if (key is not null) return Base64.IsValid(key) && key.Length > 0 ? AzureClients.WithKey(account, key) : throw ConnectorType.Invalid($"{AccountKey}: Base64, as Azure shows it.");
        signature = signature!.TrimStart('?');
        return SharedAccessSignature().IsMatch(signature) ? AzureClients.WithSignature(signature)
            : throw ConnectorType.Invalid($"{Signature}: what is behind the question mark of the address, with sv=, sig= and others joined by '&'.");
    }

    private static string AddressOf(string endpoint, string account)
    {
        var address = endpoint.Replace(AccountMark, account, StringComparison.Ordinal).TrimEnd('/');
        if (!Uri.TryCreate(address, UriKind.Absolute, out var url)) throw ConnectorType.Invalid($"{Endpoint}: {endpoint} is no address.");
        return url.HostNameType != UriHostNameType.IPv6 ? address : throw ConnectorType.Invalid($"{Endpoint}: Azure's client takes no address of IPv6 for a host; give it a name.");
    }

    private static ConnectorPreset Preset(string name, string title, string help, string endpoint, string? account = null)
    {
        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        values[Endpoint] = endpoint;
        if (account is not null) values[Account] = account;
        return new(name, title, help, values.ToImmutable());
    }

    [GeneratedRegex(@"^[a-z0-9]{3,24}\z")]
    private static partial Regex AccountName();

    [GeneratedRegex(@"^(?=.{3,63}\z)[a-z0-9]+(-[a-z0-9]+)*\z")]
    private static partial Regex ContainerName();

    [GeneratedRegex(@"^(?=.*\bsv=)(?=.*\bsig=)[a-z]+=[^&\s?#]*(&[a-z]+=[^&\s?#]*)*\z")]
    private static partial Regex SharedAccessSignature();
}
