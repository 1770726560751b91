namespace DarkStorage.Engine;

/// <summary>A turn that the engine itself asks an activation for.</summary>
internal abstract class EngineCall<T> : Call<T>
{
    public override void CopyArguments(CopyContext context)
    {
    }
}
